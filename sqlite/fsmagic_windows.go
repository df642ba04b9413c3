package sqlite

import (
	"fmt"
	"path/filepath"
	"syscall"
	"unsafe"

	"github.com/holdfastq/holdfast"
)

var getDriveType = kernel32.NewProc("GetDriveTypeW")

// checkFileSystem refuses a database on a file system that would break it: ErrUnusable.
func checkFileSystem(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("%w: path %s: %w", holdfast.ErrUnusable, path, err)
	}
	root, err := syscall.UTF16PtrFromString(filepath.VolumeName(abs) + `\`)
	if err != nil {
		return fmt.Errorf("%w: path %s: %w", holdfast.ErrUnusable, path, err)
	}
	const remote = 4
	if kind, _, _ := getDriveType.Call(uintptr(unsafe.Pointer(root))); kind == remote {
		return unfitError(path, "network drive")
	}
	return nil
}
