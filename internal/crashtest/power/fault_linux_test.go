//go:build amd64 || arm64

package power

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// faulty are the calls that a disk can fail.
var faulty = []string{"write", "pwrite64", "fsync", "fdatasync", "ftruncate", "fallocate"}

// fault is a way in which a disk fails from its n-th call on.
type fault struct {
	name  string
	errno syscall.Errno
	calls int  // so many of them fail; 0: all, until the process ends
	short bool // the first of them writes half of its bytes before
}

var faults = []fault{
	{"EIO once", syscall.EIO, 1, false},
	{"ENOSPC for a while", syscall.ENOSPC, 5, false},
	{"EIO for good", syscall.EIO, 0, false},
	{"ENOSPC for good, after a short write", syscall.ENOSPC, 0, true},
}

// TestFailingDiskLosesNothing lets the n-th call of a life that writes or syncs fail. Nothing may be acknowledged that
// is not there afterwards; what was refused for sure must not be there; once the disk works again so does the store, in
// the same process if that lives on, and in the next one.
func TestFailingDiskLosesNothing(t *testing.T) {
	every := or(*stride, 8, 1)
	if raceDetector && *stride == 0 {
		every = 80
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) { f.everywhere(t, every, 1<<30, 0) })
	}
}

// TestFailingDiskDuringRecoveryLosesNothing kills a life, and lets the disk of the next one fail while it recovers what
// the first has left.
func TestFailingDiskDuringRecoveryLosesNothing(t *testing.T) {
	every := or(*stride, 5, 1)
	if raceDetector && *stride == 0 {
		every = 30
	}
	calls := length(t)
	for _, f := range faults {
		for _, kill := range []int{calls * 4 / 10, calls * 6 / 10, calls * 8 / 10} {
			t.Run(fmt.Sprintf("%s, after a death at call %d", f.name, kill), func(t *testing.T) { f.everywhere(t, every, 60, kill) })
		}
	}
}

// length is the number of calls of a life without faults; no two lives have quite the same.
func length(t *testing.T) int {
	s, err := newScratch()
	if err != nil {
		t.Fatal(err)
	}
	defer s.remove()
	a := args{Dir: s.dir, Seed: *seed, Operations: scripted()}
	if err := os.Mkdir(filepath.Join(a.Dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := pass(t, "life", a, func(int, knock) verdict { return verdict{} })
	needGate(t, err)
	return p.knocks
}

// everywhere lives a life for each call that the fault can begin at, up to some call.
func (f fault) everywhere(t *testing.T, every, most, kill int) {
	began := time.Now()
	var next, runs, errs, slowest atomic.Int64
	var ended atomic.Bool
	var mu sync.Mutex
	var failed error
	var wait sync.WaitGroup
	for range max(*workers, 1) {
		wait.Go(func() {
			for !ended.Load() {
				n := int(next.Add(int64(every)))
				if n > most {
					return
				}
				start := time.Now()
				o, err := f.at(t, n, kill)
				if err != nil || !o.hit {
					ended.Store(true)
				}
				if o.hit {
					runs.Add(1)
					errs.Add(int64(o.errors))
				}
				mu.Lock()
				failed = errors.Join(failed, err)
				slowest.Store(max(slowest.Load(), time.Since(start).Milliseconds()))
				mu.Unlock()
				for _, w := range o.bad {
					t.Errorf("%s at call %d (-seed %d -stride 1): %s: %s", f.name, n, *seed, w.sort, w.what)
				}
			}
		})
	}
	wait.Wait()
	needGate(t, failed)
	line, err := json.Marshal(map[string]any{"seed": *seed, "fault": f.name, "killed_before": kill, "every": every, "runs": runs.Load(),
		"errors": errs.Load(), "slowest_ms": slowest.Load(), "seconds": time.Since(began).Seconds()})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(line))
	if runs.Load() == 0 || kill == 0 && errs.Load() == 0 {
		t.Errorf("%d lives met the fault, %d calls of the store gave an error: it does not reach the store", runs.Load(), errs.Load())
	}
}

// ordeal is what came of a life with a fault.
type ordeal struct {
	hit    bool // it lived to see the fault
	errors int  // calls that gave an error
	bad    []wrong
}

// at lives a life with the fault at its n-th call. If kill is not zero, another was killed at that call before.
func (f fault) at(t *testing.T, n, kill int) (o ordeal, err error) {
	s, err := newScratch()
	if err != nil {
		return o, err
	}
	defer s.remove()
	a := args{Dir: s.dir, Seed: *seed, Operations: scripted()}
	if err := os.Mkdir(filepath.Join(a.Dir, "db"), 0o700); err != nil {
		return o, err
	}
	if kill > 0 {
		if p, err := pass(t, "life", a, func(i int, _ knock) verdict { return verdict{kill: i == kill} }); err != nil {
			return o, err
		} else if !p.killed {
			return o, fmt.Errorf("the life to be killed has only %d calls: choose another -seed or more -steps", p.knocks)
		}
		a.Seed, a.After = a.Seed+1, 1000
	}
	a.Faults, a.Settle = true, f.calls > 0
	p, hit, err := f.strike(t, a, n)
	if err != nil {
		return o, err
	}
	o.hit = hit
	if p.err != nil {
		o.bad = append(o.bad, wrong{unexpected, fmt.Sprintf("the process ended: %v: %s", p.err, p.output)})
	}
	for _, said := range readTale(t, a.tale()) {
		if said.Word == "err" {
			o.errors++
		}
	}
	o.bad = append(o.bad, survey(t, a)...)
	return o, nil
}

// strike lives a life with the fault at its n-th call, and says whether it came so far.
func (f fault) strike(t *testing.T, a args, n int) (p passage, hit bool, err error) {
	at := 0
	p, err = pass(t, "life", a, func(_ int, k knock) verdict {
		if !slices.Contains(faulty, k.name) {
			return verdict{}
		}
		if at++; at < n || f.calls > 0 && at >= n+f.calls {
			return verdict{}
		}
		if f.short && at == n && k.name == "pwrite64" && k.args[2] > 1 {
			return verdict{short: true}
		}
		return verdict{errno: f.errno}
	})
	return p, at >= n, err
}

// TestFolderThatCannotBeSyncedAcknowledgesNothing: the file would be on disk and its name not. SQLite itself goes on
// when the sync of the folder fails.
func TestFolderThatCannotBeSyncedAcknowledgesNothing(t *testing.T) {
	s, err := newScratch()
	if err != nil {
		t.Fatal(err)
	}
	defer s.remove()
	a := args{Dir: s.dir, Seed: *seed, Operations: scripted(), Faults: true}
	if err := os.Mkdir(filepath.Join(a.Dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	syncs := 0
	_, err = pass(t, "life", a, func(_ int, k knock) verdict {
		if k.path != filepath.Join(a.Dir, "db") {
			return verdict{}
		}
		syncs++
		return verdict{errno: syscall.EIO}
	})
	needGate(t, err)
	if syncs == 0 {
		t.Error("the folder was never synced")
	}
	for _, said := range readTale(t, a.tale()) {
		if said.Word == "ok" {
			t.Errorf("%s was acknowledged", said.Call)
		}
	}
}
