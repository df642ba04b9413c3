//go:build unix

package pipeline

import (
	"io/fs"
	"syscall"
)

// openFlags keep an open from waiting for the other end of a pipe. os.Root adds O_NOFOLLOW by itself.
const openFlags = syscall.O_NONBLOCK | syscall.O_NOCTTY

// names is the number of names that a file has.
func names(info fs.FileInfo) uint64 {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 1
	}
	return uint64(stat.Nlink)
}
