//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// syncFolder brings the names of the database and its -wal to disk: a file that is synced but whose name is not can be
// gone after a power cut. SQLite syncs the folder too, before its first commit, but commits all the same if that fails.
func syncFolder(dbPath string) error {
	dir, err := os.Open(filepath.Dir(dbPath))
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer dir.Close()
	err = dir.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil // this file system has nothing to sync there
	}
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}
