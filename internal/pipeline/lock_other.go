//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package pipeline

import "os"

// lock always succeeds here: that a producer's name is used once at a time is left to whoever starts it.
func lock(*os.File) (bool, error) { return true, nil }
