//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package sqlite

import (
	"errors"
	"os"
	"syscall"
)

// Locks of files are flock's: they belong to one opening of the file, end with the process however it ends, work between
// containers, and are apart from the POSIX locks that SQLite takes on its own files.

// lockFile waits in the kernel until this opening of the file has the lock, alone or shared.
func lockFile(f *os.File, shared bool) error {
	return flock(f, lockKind(shared))
}

// tryLockFile takes the lock if nobody holds it against us.
func tryLockFile(f *os.File, shared bool) (bool, error) {
	err := flock(f, lockKind(shared)|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func unlockFile(f *os.File) error { return flock(f, syscall.LOCK_UN) }

func lockKind(shared bool) int {
	if shared {
		return syscall.LOCK_SH
	}
	return syscall.LOCK_EX
}

// flock repeats what a signal broke off: the runtime sends itself signals all the time.
func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if err != syscall.EINTR {
			return os.NewSyscallError("flock", err)
		}
	}
}
