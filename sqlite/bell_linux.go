package sqlite

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// watch tells of rings and of changes of the WAL, until stop is called, which waits for the watcher's end. An event
// stands for everything since the one before it; what happens after watch has returned is never missed.
//
// The folders are watched, not the files: the WAL comes and goes, and the watch of a file would go with it. The kernel
// has few watchers to give (128 for each user, often); without one it looks four times a second.
func (b *bell) watch(walPath string) (events <-chan bellEvent, stop func(), err error) {
	ch, quit, done := make(chan bellEvent, 1), make(chan struct{}), make(chan struct{})
	w, err := openInotify(b.dir, walPath)
	if err != nil {
		look := b.looker(walPath)
		go func() {
			defer close(done)
			poll(look, ch, quit)
		}()
		return ch, sync.OnceFunc(func() { close(quit); <-done }), nil
	}
	go func() {
		defer close(done)
		if w.run(ch) != nil {
			select {
			case <-quit:
			default: // the house was removed under us
				look := b.looker(walPath)
				tell(ch, bellEvent{true, true})
				poll(look, ch, quit)
			}
		}
	}()
	return ch, sync.OnceFunc(func() { close(quit); w.file.Close(); <-done }), nil
}

// inotify watches the folder of the bell and that of the WAL.
type inotify struct {
	file            *os.File // non-blocking: the runtime waits for it, and Close ends a Read
	bellDir, walDir int32    // watches
	wal             []byte
}

func openInotify(dir, walPath string) (*inotify, error) {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	w := &inotify{file: os.NewFile(uintptr(fd), "inotify"), wal: []byte(filepath.Base(walPath))}
	const changes = syscall.IN_MODIFY | syscall.IN_ONLYDIR
	bellDir, err := syscall.InotifyAddWatch(fd, dir, changes|syscall.IN_DELETE) // a removed folder with open files says nothing itself
	if err == nil {
		var walDir int
		walDir, err = syscall.InotifyAddWatch(fd, filepath.Dir(walPath), changes)
		w.bellDir, w.walDir = int32(bellDir), int32(walDir)
	}
	if err != nil {
		w.file.Close()
		return nil, os.NewSyscallError("inotify_add_watch", err)
	}
	return w, nil
}

// run tells until the file is closed, or the bell or a folder is gone.
func (w *inotify) run(events chan bellEvent) error {
	var buf [16 * (syscall.SizeofInotifyEvent + syscall.NAME_MAX + 1)]byte
	for {
		n, err := w.file.Read(buf[:])
		if err != nil {
			return err
		}
		e, gone := w.parse(buf[:n])
		tell(events, e)
		if gone {
			return os.ErrNotExist
		}
	}
}

// parse makes one event of all that the kernel reports at once.
func (w *inotify) parse(report []byte) (e bellEvent, gone bool) {
	for len(report) >= syscall.SizeofInotifyEvent {
		watch := int32(binary.NativeEndian.Uint32(report[0:]))
		mask := binary.NativeEndian.Uint32(report[4:])
		size := binary.NativeEndian.Uint32(report[12:])
		name, _, _ := bytes.Cut(report[syscall.SizeofInotifyEvent:syscall.SizeofInotifyEvent+size], []byte{0})
		report = report[syscall.SizeofInotifyEvent+size:]
		switch {
		case mask&syscall.IN_Q_OVERFLOW != 0:
			e = bellEvent{true, true}
		case mask&syscall.IN_IGNORED != 0, mask&syscall.IN_DELETE != 0 && string(name) == bellName:
			gone = true
		case watch == w.bellDir && string(name) == bellName:
			e.Bell = true
		case watch == w.walDir && bytes.Equal(name, w.wal):
			e.WAL = true
		}
	}
	return e, gone
}
