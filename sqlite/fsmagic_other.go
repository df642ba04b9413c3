//go:build !linux && !darwin && !windows

package sqlite

// checkFileSystem cannot tell file systems apart here.
func checkFileSystem(path string) error { return nil }
