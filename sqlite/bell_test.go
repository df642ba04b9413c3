package sqlite

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfastq/holdfast"
)

const patience = 10 * time.Second // for what comes at once, unless something is broken

func newBell(t *testing.T, dir string) *bell {
	t.Helper()
	b, err := openBell(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.close() })
	return b
}

func ringBell(t *testing.T, b *bell, ready, asked bool) {
	t.Helper()
	if err := b.ring(ready, asked); err != nil {
		t.Fatal(err)
	}
}

// nextEvent waits until both marks of want were seen.
func nextEvent(t *testing.T, events <-chan bellEvent, want bellEvent) {
	t.Helper()
	var got bellEvent
	for timeout := time.After(patience); want.Bell && !got.Bell || want.WAL && !got.WAL; {
		select {
		case e := <-events:
			got = bellEvent{got.Bell || e.Bell, got.WAL || e.WAL}
		case <-timeout:
			t.Fatalf("saw %+v, want %+v", got, want)
		}
	}
}

func TestBellCounts(t *testing.T) {
	dir := newHouse(t)
	one, two := newBell(t, dir), newBell(t, dir)
	for _, step := range []struct {
		ready, asked bool
		want         holdfast.Tick
	}{
		{false, false, holdfast.Tick{0, 0}},
		{true, false, holdfast.Tick{1, 0}},
		{false, true, holdfast.Tick{1, 1}},
		{true, true, holdfast.Tick{2, 2}},
		{false, false, holdfast.Tick{2, 2}},
	} {
		ringBell(t, one, step.ready, step.asked)
		if got, err := two.read(); err != nil || got != step.want {
			t.Errorf("after ring(%v, %v): %v, %v; want %v", step.ready, step.asked, got, err, step.want)
		}
	}
}

func TestWatchTellsOfRingsAndOfTheWAL(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := newHouse(t)
	wal := filepath.Join(filepath.Dir(dir), "app.db-wal")
	b := newBell(t, dir)
	events, stop, err := b.watch(wal)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	ringBell(t, newBell(t, dir), true, false)
	nextEvent(t, events, bellEvent{Bell: true})
	for range 2 { // it comes, goes, and comes again
		if err := os.WriteFile(wal, []byte("frames"), 0o600); err != nil {
			t.Fatal(err)
		}
		nextEvent(t, events, bellEvent{WAL: true})
		if err := os.Remove(wal); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	stop() // harmless
}

// Nobody fetches: the watcher never waits, and what has piled up is one event.
func TestWatchMakesOneEventOfMany(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := newHouse(t)
	wal := filepath.Join(filepath.Dir(dir), "app.db-wal")
	b := newBell(t, dir)
	events, stop, err := b.watch(wal)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for range 500 {
		ringBell(t, b, true, true)
	}
	if err := os.WriteFile(wal, []byte("frames"), 0o600); err != nil {
		t.Fatal(err)
	}
	nextEvent(t, events, bellEvent{Bell: true, WAL: true})
}

// What is in the folders besides is no news.
func TestWatchIgnoresOtherFiles(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := newHouse(t)
	folder := filepath.Dir(dir)
	b := newBell(t, dir)
	events, stop, err := b.watch(filepath.Join(folder, "app.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for _, path := range []string{filepath.Join(folder, "app.db"), filepath.Join(folder, "a.txt"), filepath.Join(dir, turnName)} {
		if err := os.WriteFile(path, []byte("else"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ringBell(t, b, true, false) // the kernel keeps the order: after this one nothing of before is left
	nextEvent(t, events, bellEvent{Bell: true})
	select {
	case e := <-events:
		t.Errorf("saw %+v besides the ring", e)
	default:
	}
}

func TestWatchGoesOnWhenTheHouseWasRemoved(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: Windows removes no open file")
	}
	defer goleak.VerifyNone(t)
	dir := newHouse(t)
	wal := filepath.Join(filepath.Dir(dir), "app.db-wal")
	b := newBell(t, dir)
	events, stop, err := b.watch(wal)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	nextEvent(t, events, bellEvent{Bell: runtime.GOOS == "linux"})
	if err := os.WriteFile(wal, []byte("frames"), 0o600); err != nil {
		t.Fatal(err)
	}
	nextEvent(t, events, bellEvent{WAL: true})
}

func TestPollTellsWhereTheKernelDoesNot(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := newHouse(t)
	wal := filepath.Join(filepath.Dir(dir), "app.db-wal")
	b := newBell(t, dir)
	events, quit, done := make(chan bellEvent, 1), make(chan struct{}), make(chan struct{})
	look := b.looker(wal)
	go func() { poll(look, events, quit); close(done) }()
	ringBell(t, b, false, true)
	nextEvent(t, events, bellEvent{Bell: true})
	if err := os.WriteFile(wal, []byte("frames"), 0o600); err != nil {
		t.Fatal(err)
	}
	nextEvent(t, events, bellEvent{WAL: true})
	close(quit)
	<-done
}
