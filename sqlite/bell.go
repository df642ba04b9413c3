package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfastq/holdfast"
)

// bell wakes those who wait in other processes: two counters in a small file that others watch. A WAL file changes
// before its commit can be seen, always; the bell is rung after. It is never synced: it means nothing after a crash of
// the machine, since everybody who remembered its counters died as well.
type bell struct {
	dir  string
	file *os.File
}

// bellEvent says what has changed since the last event.
type bellEvent struct {
	Bell bool // the bell was rung
	WAL  bool // somebody wrote to the WAL: a stranger's commit may be seen soon
}

// openBell opens the bell of a house, and makes it where it is missing.
func openBell(dir string) (*bell, error) {
	f, err := os.OpenFile(filepath.Join(dir, bellName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open bell: %w", err)
	}
	return &bell{dir, f}, nil
}

// ring counts that something became claimable, or that somebody asked something of a consumer. Only who holds the turn
// may ring.
func (b *bell) ring(ready, asked bool) error {
	if !ready && !asked {
		return nil
	}
	t, err := b.read()
	if err != nil {
		return err
	}
	if ready {
		t[0]++
	}
	if asked {
		t[1]++
	}
	var buf [16]byte
	binary.LittleEndian.PutUint64(buf[:8], t[0])
	binary.LittleEndian.PutUint64(buf[8:], t[1])
	if _, err := b.file.WriteAt(buf[:], 0); err != nil {
		return fmt.Errorf("ring bell: %w", err)
	}
	return nil
}

// read gives the counters: ready, then asked. A bell that was never rung has zeros. Counters are compared for being
// different, not for being larger: a new house begins at zero.
func (b *bell) read() (holdfast.Tick, error) {
	var buf [16]byte
	if _, err := b.file.ReadAt(buf[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return holdfast.Tick{}, fmt.Errorf("read bell: %w", err)
	}
	return holdfast.Tick{binary.LittleEndian.Uint64(buf[:8]), binary.LittleEndian.Uint64(buf[8:])}, nil
}

// close lets go of the file. Watchers are stopped before.
func (b *bell) close() error { return b.file.Close() }

// tell hands an event to a channel of capacity 1 without ever waiting: what was not fetched yet becomes one with it.
// Only one goroutine may tell on a channel.
func tell(events chan bellEvent, e bellEvent) {
	if !e.Bell && !e.WAL {
		return
	}
	select {
	case old := <-events:
		e.Bell, e.WAL = e.Bell || old.Bell, e.WAL || old.WAL
	default:
	}
	events <- e
}

// watchEvery is how often a watcher looks where the kernel does not tell.
const watchEvery = 250 * time.Millisecond

// poll is the watcher for where the kernel does not tell of changes: it looks again and again.
func poll(look func() bellEvent, events chan bellEvent, stop <-chan struct{}) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			tell(events, look())
		}
	}
}

// looker gives a function that says what has changed since its last call. It never opens the WAL, which is SQLite's.
func (b *bell) looker(walPath string) func() bellEvent {
	tick, _ := b.read()
	size, at := stamp(walPath)
	return func() bellEvent {
		t, err := b.read()
		s, a := stamp(walPath)
		e := bellEvent{Bell: err == nil && t != tick, WAL: s != size || !a.Equal(at)}
		if err == nil {
			tick = t
		}
		size, at = s, a
		return e
	}
}

func stamp(path string) (int64, time.Time) {
	info, err := os.Stat(path)
	if err != nil {
		return -1, time.Time{}
	}
	return info.Size(), info.ModTime()
}
