package sqlite

import (
	"os"
	"sync"
	"syscall"
)

// watch tells of rings and of changes of the WAL, until stop is called, which waits for the watcher's end. An event
// stands for everything since the one before it; what happens after watch has returned is never missed.
//
// The kernel tells of the bell at once. To be told of the WAL one must open it, which is left to SQLite: it is looked
// at four times a second.
func (b *bell) watch(walPath string) (events <-chan bellEvent, stop func(), err error) {
	ch, done := make(chan bellEvent, 1), make(chan struct{})
	quit, end, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	kq, err := openKqueue(int(b.file.Fd()), int(quit.Fd()))
	if err != nil {
		quit.Close()
		end.Close()
		return nil, nil, err
	}
	look := b.looker(walPath)
	go func() {
		defer close(done)
		defer quit.Close()
		defer syscall.Close(kq)
		for !quits(kq, int(quit.Fd())) {
			tell(ch, look())
		}
	}()
	return ch, sync.OnceFunc(func() { end.Close(); <-done }), nil
}

// openKqueue watches the bell for writes and the pipe for its end.
func openKqueue(bellFD, quitFD int) (int, error) {
	kq, err := syscall.Kqueue()
	if err != nil {
		return -1, os.NewSyscallError("kqueue", err)
	}
	syscall.CloseOnExec(kq)
	var changes [2]syscall.Kevent_t
	syscall.SetKevent(&changes[0], bellFD, syscall.EVFILT_VNODE, syscall.EV_ADD|syscall.EV_CLEAR)
	changes[0].Fflags = syscall.NOTE_WRITE
	syscall.SetKevent(&changes[1], quitFD, syscall.EVFILT_READ, syscall.EV_ADD)
	if _, err := syscall.Kevent(kq, changes[:], nil, nil); err != nil {
		syscall.Close(kq)
		return -1, os.NewSyscallError("kevent", err)
	}
	return kq, nil
}

// quits waits for the bell, the next look at the WAL or the pipe's end, and says whether it was that.
func quits(kq, quitFD int) bool {
	timeout := syscall.NsecToTimespec(int64(watchEvery))
	var got [2]syscall.Kevent_t
	n, err := syscall.Kevent(kq, nil, got[:], &timeout)
	if err != nil && err != syscall.EINTR {
		return true
	}
	for _, e := range got[:max(n, 0)] {
		if e.Ident == uint64(quitFD) {
			return true
		}
	}
	return false
}
