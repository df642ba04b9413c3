package pipeline

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"time"

	"github.com/holdfastq/holdfast"
)

// Folder is the primary path, the only place that this package touches. Every access goes through os.Root, so neither
// ".." nor a symbolic link leads out of it, whoever swaps what meanwhile. (A bind mount inside it does lead elsewhere;
// only whoever administers the machine can make one.)
type Folder struct {
	root    *os.Root
	name    string // absolute, without symbolic links
	machine string
}

// OpenFolder opens the primary path, which must exist. machine is this machine's name, in what is recorded of failed
// files; "" means the host's.
func OpenFolder(name, machine string) (*Folder, error) {
	if machine == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("name of this machine: %w", err)
		}
		machine = host
	}
	abs, err := filepath.Abs(name)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return nil, fmt.Errorf("primary path %s: %w", shown(name), err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("primary path %s: %w", shown(name), err)
	}
	return &Folder{root: root, name: abs, machine: machine}, nil
}

// Close lets go of the folder.
func (f *Folder) Close() error { return f.root.Close() }

// Name is the folder's absolute name.
func (f *Folder) Name() string { return f.name }

// open opens a regular file for reading: no folder, link, pipe or device, also if one is swapped in meanwhile.
func (f *Folder) open(name string) (*os.File, fs.FileInfo, error) {
	seen, err := f.regular(name)
	if err != nil {
		return nil, nil, err
	}
	file, err := f.root.OpenFile(name, os.O_RDONLY|openFlags, 0) // a pipe without a writer must not block us
	if err != nil {
		return nil, nil, err
	}
	got, err := file.Stat()
	if err == nil && (!got.Mode().IsRegular() || !os.SameFile(seen, got)) {
		err = fmt.Errorf("%s was exchanged while it was opened", shown(name))
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, got, nil
}

// regular looks at a regular file. errNotRegular: something else is there.
func (f *Folder) regular(name string) (fs.FileInfo, error) {
	info, err := f.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is %s", errNotRegular, shown(name), kind(info.Mode()))
	}
	return info, nil
}

// errNotRegular: only regular files are jobs.
var errNotRegular = errors.New("no regular file")

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// exists says whether anything has that name.
func (f *Folder) exists(name string) (bool, error) {
	_, err := f.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// write makes a new file, with what fill gives, and syncs it. On an error nothing is left of it, unless the error is a
// death that a test plays.
func (f *Folder) write(name string, perm fs.FileMode, fill func(io.Writer) error) (err error) {
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
		if err != nil && !errors.Is(err, errKilled) {
			_ = f.root.Remove(name) // best effort: what is left is found by the cleaner, or by the intent
		}
	}()
	buffered := bufio.NewWriterSize(file, 64<<10)
	if err := fill(buffered); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return file.Sync()
}

// errKilled is how a test ends an actor between two steps, as if its process had died there.
var errKilled = errors.New("killed")

// move renames a file without ever replacing another: fs.ErrExist. A crash inside it leaves both names on one file;
// doing it again ends that. Callers see to it that no other of ours does the same meanwhile.
func (f *Folder) move(from, to string) error {
	err := f.root.Link(from, to)
	switch {
	case err == nil:
		return f.root.Remove(from)
	case errors.Is(err, fs.ErrNotExist):
		return err
	case errors.Is(err, fs.ErrExist):
		if !f.same(from, to) {
			return err
		}
		return f.root.Remove(from)
	}
	// No hard links here (FAT, some network file systems): then looking first must do.
	if there, lookErr := f.exists(to); lookErr != nil {
		return lookErr
	} else if there {
		return &fs.PathError{Op: "rename", Path: to, Err: fs.ErrExist}
	}
	return f.root.Rename(from, to)
}

// alone does something while no other actor of ours, in any process, renames in the same folder: a file has two names
// for a moment while it is moved, and two that each end the other's move would end the file. errBusy: another has been at
// it for long; it may be stopped.
func (f *Folder) alone(ctx context.Context, dir string, do func() error) error {
	d, err := f.root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for try := 1; ; try++ {
		mine, err := lock(d)
		if mine || err != nil { // some file systems have no such lock
			return do()
		}
		if try == 100 || !sleep(ctx, 10*time.Millisecond) {
			return fmt.Errorf("%w in %s", errBusy, shown(dir))
		}
	}
}

// errBusy: nothing was done; come back later.
var errBusy = errors.New("another process is renaming")

// same says whether two names are one file.
func (f *Folder) same(a, b string) bool {
	infoA, errA := f.root.Lstat(a)
	infoB, errB := f.root.Lstat(b)
	return errA == nil && errB == nil && infoA.Mode().IsRegular() && os.SameFile(infoA, infoB)
}

// sync makes the names in a folder safe against a power cut.
func (f *Folder) sync(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // it has no such step
	}
	d, err := f.root.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

// mkdir makes a folder with its parents, and makes their names safe.
func (f *Folder) mkdir(dir string, perm fs.FileMode) error {
	if dir == "." {
		return nil
	}
	if info, err := f.root.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := f.mkdir(path.Dir(dir), perm); err != nil {
		return err
	}
	if err := f.root.Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := f.root.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: %s is there and no folder", holdfast.ErrInvalid, shown(dir))
	}
	return f.sync(path.Dir(dir))
}

// inside says whether a path lies in a folder, by the folders themselves and not by their names.
func (f *Folder) inside(dir, name string) bool {
	want, err := f.root.Stat(dir)
	if err != nil {
		return false
	}
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		if got, err := f.root.Stat(parent); err == nil && os.SameFile(got, want) {
			return true
		}
	}
	return false
}
