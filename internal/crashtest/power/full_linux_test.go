package power

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/testrequire"
)

const (
	diskSize    = 6 << 20
	ballastSize = 2 << 20

	refusalTime = 5 * time.Second // a put on a full disk is refused within it
	returnTime  = 5 * time.Second // a put works again, so long after there is room
)

// TestFullDiskRefusesAndComesBack fills a small disk with jobs, round after round: puts are refused and lose nothing,
// what is there can be read, and when there is room again the same store goes on by itself.
func TestFullDiskRefusesAndComesBack(t *testing.T) {
	began := time.Now()
	n := or(*rounds, 3, 100)
	var refused, acknowledged int
	var slowest time.Duration
	for i := range n {
		f := fullDisk{T: t, args: newArgs(t, *seed+uint64(i), 0)}
		f.round()
		refused += f.refused
		acknowledged += f.acknowledged
		slowest = max(slowest, f.back)
		if t.Failed() {
			t.Fatalf("round %d (-seed %d)", i, f.Seed)
		}
	}
	line, err := json.Marshal(map[string]any{"seed": *seed, "rounds": n, "refused": refused, "acknowledged": acknowledged,
		"slowest_return_ms": slowest.Milliseconds(), "seconds": time.Since(began).Seconds()})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(line))
}

// fullDisk is one round.
type fullDisk struct {
	*testing.T
	args
	refused, acknowledged int
	back                  time.Duration // from the room until the first success
}

func (f *fullDisk) round() {
	f.mount()
	ballast := filepath.Join(f.Dir, "db", "ballast")
	if err := os.WriteFile(ballast, make([]byte, ballastSize), 0o600); err != nil {
		f.Fatal(err)
	}
	l := &life{args: f.args, ctx: context.Background(), rng: rand.New(rand.NewPCG(f.Seed, 1)), consumer: holdfast.NewID()}
	var err error
	if l.tale, err = openTale(f.tale()); err != nil {
		f.Fatal(err)
	}
	defer l.tale.file.Close()
	if err := l.open(); err != nil {
		f.Fatal(err)
	}
	defer func() { l.store.Close() }()
	f.fill(l)
	f.work(l)
	for _, j := range l.waiting[:min(3, len(l.waiting))] {
		if _, _, err := l.store.Show(l.ctx, j); err != nil && !errors.Is(err, holdfast.ErrNotFound) {
			f.Errorf("show on a full disk: %v", err)
		}
	}
	if err := os.Remove(ballast); err != nil {
		f.Fatal(err)
	}
	room := time.Now()
	if err := l.settle(); err != nil {
		f.Fatal(err)
	}
	if f.back = time.Since(room); f.back > returnTime {
		f.Errorf("a put works again %v after there was room, want %v", f.back, returnTime)
	}
	for range 5 {
		if err := errors.Join(l.put(l.newJobs(3)...), l.claim(2), l.finish(2)); err != nil {
			f.Errorf("with room again: %v", err)
		}
	}
	if err := l.store.Close(); err != nil {
		f.Errorf("close: %v", err)
	}
	for _, w := range survey(f, f.args) {
		f.Errorf("%s: %s", w.sort, w.what)
	}
	for _, s := range readTale(f, f.tale()) {
		if s.Word == "ok" && s.Call == "put" {
			f.acknowledged++
		}
	}
}

// mount makes the folder of the database a disk of its own.
func (f *fullDisk) mount() {
	dir := filepath.Join(f.Dir, "db")
	if err := syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskSize)); err != nil {
		testrequire.Skip(f, "root", fmt.Sprintf("a small disk cannot be mounted here: %v", err))
	}
	f.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			f.Error(err)
		}
	})
}

// fill puts until the disk is full.
func (f *fullDisk) fill(l *life) {
	for range diskSize / 1000 {
		jobs := l.newJobs(1 + l.rng.IntN(3))
		for i := range jobs {
			jobs[i].Data = make([]byte, 2000+l.rng.IntN(9000))
		}
		began := time.Now()
		err := l.put(jobs...)
		if took := time.Since(began); took > refusalTime {
			f.Errorf("a put was answered after %v, want %v: %v", took, refusalTime, err)
		}
		if err != nil {
			f.refused++
			return
		}
	}
	f.Fatal("the disk does not get full")
}

// work goes on as a program does that does not know. Each call succeeds or is refused.
func (f *fullDisk) work(l *life) {
	for i := range 12 {
		began := time.Now()
		var err error
		switch i % 3 {
		case 0:
			err = l.claim(2)
		case 1:
			err = l.finish(2)
		default:
			err = l.put(l.newJob())
		}
		if took := time.Since(began); took > refusalTime {
			f.Errorf("a call on a full disk was answered after %v, want %v: %v", took, refusalTime, err)
		}
		if err != nil {
			f.refused++
		}
	}
}
