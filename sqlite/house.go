package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfastq/holdfast"
)

// The house is the folder FILE-holdfast beside the database FILE. It has what processes need to meet there: the turn at
// which writers queue, the bell that wakes those who wait, and one locked file for each living consumer. Nothing in it
// is worth keeping: the jobs are in the database alone, and the house may be removed while nobody uses it.
const (
	turnName      = "turn"
	bellName      = "bell"
	consumersName = "consumers"
)

// openHouse makes the house of a database where it is missing, open to this user alone. It follows symbolic links as
// SQLite does, so that whoever opens the same database by another name comes to the same house.
func openHouse(dbPath string) (dir string, err error) {
	path, err := realPath(dbPath)
	if err != nil {
		return "", err
	}
	dir = path + "-holdfast"
	for _, d := range []string{dir, filepath.Join(dir, consumersName)} {
		if err := os.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("%w: make folder %s: %w; the folder of the database must be writable", holdfast.ErrUnusable, d, bare(err))
		}
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fmt.Errorf("%w: %s is not a folder; move it away", holdfast.ErrUnusable, dir)
	}
	return dir, nil
}

// realPath gives the absolute path of a database without symbolic links; the file itself may be missing, and so may the
// target of a link to it.
func realPath(dbPath string) (string, error) {
	path, err := filepath.Abs(dbPath)
	if err != nil {
		return "", fmt.Errorf("%w: path %s: %w", holdfast.ErrUnusable, dbPath, err)
	}
	for range 40 { // as many links as kernels follow
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return real, nil
		}
		folder, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", fmt.Errorf("%w: folder %s: %w; make it first", holdfast.ErrUnusable, filepath.Dir(path), bare(err))
		}
		path = filepath.Join(folder, filepath.Base(path))
		target, err := os.Readlink(path)
		if err != nil {
			return path, nil // no link: a file that is still to be made
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(folder, target)
		}
		path = target
	}
	return "", fmt.Errorf("%w: %s: too many symbolic links", holdfast.ErrUnusable, dbPath)
}

// bare takes the path out of an error whose message names it already.
func bare(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
