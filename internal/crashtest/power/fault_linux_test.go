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
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			began := time.Now()
			every := int64(or(*stride, 8, 1))
			if raceDetector && *stride == 0 {
				every = 40
			}
			var next, runs, ended, errs atomic.Int64
			var slowest atomic.Int64
			var mu sync.Mutex
			var gateErr error
			var wait sync.WaitGroup
			for range max(*workers, 1) {
				wait.Go(func() {
					for ended.Load() == 0 {
						n := next.Add(every)
						start := time.Now()
						o, err := faultAt(t, f, int(n))
						if err != nil || !o.hit {
							ended.Store(1)
						}
						if o.hit {
							runs.Add(1)
							errs.Add(int64(o.errors))
						}
						mu.Lock()
						gateErr = errors.Join(gateErr, err)
						slowest.Store(max(slowest.Load(), time.Since(start).Milliseconds()))
						mu.Unlock()
						for _, w := range o.bad {
							t.Errorf("%s at call %d (-seed %d -stride 1): %s: %s", f.name, n, *seed, w.sort, w.what)
						}
					}
				})
			}
			wait.Wait()
			needGate(t, gateErr)
			line, _ := json.Marshal(map[string]any{"seed": *seed, "fault": f.name, "every": every, "runs": runs.Load(), "errors": errs.Load(),
				"slowest_ms": slowest.Load(), "seconds": time.Since(began).Seconds()})
			fmt.Println(string(line))
			if runs.Load() > 0 && errs.Load() == 0 {
				t.Error("no call of the store ever gave an error: the fault does not reach it")
			}
		})
	}
}

// ordeal is what came of a life with a fault.
type ordeal struct {
	hit    bool // it lived to see the fault
	errors int  // calls that gave an error
	bad    []wrong
}

func faultAt(t *testing.T, f fault, n int) (o ordeal, err error) {
	s, err := newScratch()
	if err != nil {
		return o, err
	}
	defer s.remove()
	a := args{Dir: s.dir, Seed: *seed, Operations: *steps, Faults: true, Settle: f.calls > 0}
	if err := os.Mkdir(filepath.Join(a.Dir, "db"), 0o700); err != nil {
		return o, err
	}
	at := 0
	p, err := pass(t, "life", a, func(_ int, k knock) verdict {
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
	if err != nil {
		return o, err
	}
	o.hit = at >= n
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

// TestFolderThatCannotBeSyncedAcknowledgesNothing: the file would be on disk and its name not. SQLite itself goes on
// when the sync of the folder fails.
func TestFolderThatCannotBeSyncedAcknowledgesNothing(t *testing.T) {
	s, err := newScratch()
	if err != nil {
		t.Fatal(err)
	}
	defer s.remove()
	a := args{Dir: s.dir, Seed: *seed, Operations: *steps, Faults: true}
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
