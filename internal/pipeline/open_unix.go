//go:build unix

package pipeline

import "syscall"

// openFlags keep an open from waiting for the other end of a pipe. os.Root adds O_NOFOLLOW by itself.
const openFlags = syscall.O_NONBLOCK | syscall.O_NOCTTY
