//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package pipeline

import "os"

// lock always succeeds here: that a producer's name is used once at a time, and that one process renames at a time, is
// left to whoever starts them.
func lock(*os.File) (bool, error) { return true, nil }
