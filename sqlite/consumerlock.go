package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfastq/holdfast"
)

// consumerLock says that a consumer lives: its file in the house is locked as long as its process lives. No pid is
// compared, so that it holds between containers too, and the kernel ends it in the same moment as the process.
//
// Only the consumer itself locks alone. Those who look lock shared, so that none of them is taken for a consumer.
type consumerLock struct {
	path string
	file *os.File
}

// holdConsumer locks the file of a consumer of this process, and makes it. It is called before the consumer is recorded
// in the database: who finds the record then finds the lock.
func holdConsumer(dir string, id holdfast.ID) (*consumerLock, error) {
	path := consumerPath(dir, id)
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("hold consumer: %w", err)
		}
		if err := lockFile(f, false); err != nil {
			f.Close()
			return nil, fmt.Errorf("hold consumer: %w", err)
		}
		if isAt(f, path) {
			return &consumerLock{path, f}, nil
		}
		f.Close() // one who tidied up saw the file before it was locked, and removed it
	}
}

// release says that the consumer has ended in peace: its file is gone.
func (c *consumerLock) release() error {
	err := os.Remove(c.path)
	c.file.Close()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = os.Remove(c.path) // Windows removes no open file
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("release consumer: %w", err)
	}
	return nil
}

// testConsumer says whether a consumer's process lives. A consumer without a file is dead: it ended in peace, or its
// file was tidied up after its death.
func testConsumer(dir string, id holdfast.ID) (alive bool, err error) {
	f, err := os.Open(consumerPath(dir, id))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("test consumer: %w", err)
	}
	defer f.Close() // ends our own lock
	free, err := tryLockFile(f, true)
	if err != nil {
		return false, fmt.Errorf("test consumer: %w", err)
	}
	return !free, nil
}

// removeConsumer tidies up the file of a dead consumer; that of a living one stays.
func removeConsumer(dir string, id holdfast.ID) error {
	path := consumerPath(dir, id)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove consumer: %w", err)
	}
	free, err := tryLockFile(f, true) // kept over the removal: nobody can begin to hold meanwhile
	if err == nil && free {
		err = os.Remove(path)
	}
	f.Close()
	if err != nil && free && !errors.Is(err, fs.ErrNotExist) {
		err = os.Remove(path) // Windows removes no open file
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove consumer: %w", err)
	}
	return nil
}

// listConsumers gives the consumers that have a file, dead or alive.
func listConsumers(dir string) ([]holdfast.ID, error) {
	entries, err := os.ReadDir(filepath.Join(dir, consumersName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list consumers: %w", err)
	}
	var ids []holdfast.ID
	for _, e := range entries {
		if id, err := holdfast.ParseID(e.Name()); err == nil && id.String() == e.Name() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func consumerPath(dir string, id holdfast.ID) string {
	return filepath.Join(dir, consumersName, id.String())
}

// isAt says whether the path still leads to this opened file.
func isAt(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}
