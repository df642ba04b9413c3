package sqlite

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// Locks of files are LockFileEx's on the first byte: they belong to one opening of the file and end with the process
// however it ends.

var (
	kernel32     = syscall.NewLazyDLL("kernel32.dll")
	lockFileEx   = kernel32.NewProc("LockFileEx")
	unlockFileEx = kernel32.NewProc("UnlockFileEx")
)

const (
	lockFailImmediately = 1
	lockExclusive       = 2

	errLockViolation syscall.Errno = 33
)

// lockFile waits in the kernel until this opening of the file has the lock, alone or shared.
func lockFile(f *os.File, shared bool) error {
	return lockByte(f, lockKind(shared))
}

// tryLockFile takes the lock if nobody holds it against us.
func tryLockFile(f *os.File, shared bool) (bool, error) {
	err := lockByte(f, lockKind(shared)|lockFailImmediately)
	if errors.Is(err, errLockViolation) || errors.Is(err, syscall.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}

func unlockFile(f *os.File) error {
	var at syscall.Overlapped
	ok, _, err := unlockFileEx.Call(f.Fd(), 0, 1, 0, uintptr(unsafe.Pointer(&at)))
	if ok == 0 {
		return os.NewSyscallError("UnlockFileEx", err)
	}
	return nil
}

func lockKind(shared bool) uintptr {
	if shared {
		return 0
	}
	return lockExclusive
}

func lockByte(f *os.File, how uintptr) error {
	var at syscall.Overlapped
	ok, _, err := lockFileEx.Call(f.Fd(), how, 0, 1, 0, uintptr(unsafe.Pointer(&at)))
	if ok == 0 {
		return os.NewSyscallError("LockFileEx", err)
	}
	return nil
}
