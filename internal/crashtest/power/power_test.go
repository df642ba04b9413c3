package power

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// figures are the line of JSON that a test prints.
type figures struct {
	Seed        uint64  `json:"seed"`
	Histories   int     `json:"histories"`
	Commits     int     `json:"commits"`
	States      int     `json:"states"`
	Recovered   int     `json:"recovered"`
	Opened      int     `json:"opened"`
	Lost        int     `json:"lost"`
	Corrupt     int     `json:"corrupt"`
	Unexpected  int     `json:"unexpected"`
	Control     int     `json:"control_states"`
	ControlLost int     `json:"control_lost"`
	Seconds     float64 `json:"seconds"`
}

func (f figures) print(t *testing.T) {
	line, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(line))
}

// TestPowerCutsLoseNothing keeps the promise that put means on disk: whatever a power cut leaves of the files, the store
// is whole, and everything that was acknowledged is in it.
func TestPowerCutsLoseNothing(t *testing.T) {
	needStrace(t)
	began := time.Now()
	n := or(*histories, 8, 200)
	want := or(*states, 20_000, 1_000_000)
	if *history != "" {
		n = 1
	}
	total := each(t, n, func(t *testing.T, i int) *report {
		return cutHistory(t, i, "life", (want+n-1)/n)
	})
	control := controlCuts(t, "normal", 2, min(want/20, 5000))
	total.print(t)
	f := figures{
		Seed: *seed, Histories: n, Commits: total.Commits, States: total.States, Recovered: total.Recovered, Opened: total.Opened, Lost: total.Lost,
		Corrupt: total.Corrupt, Unexpected: total.Unexpected, Control: control.States, ControlLost: control.Lost,
		Seconds: time.Since(began).Seconds(),
	}
	f.print(t)
	if control.Lost == 0 && *onlyState == "" {
		t.Errorf("the control lost nothing in %d states with synchronous=NORMAL: this harness would not see a loss", control.States)
	}
	if total.States < want && *history == "" {
		t.Errorf("%d states were tried, %d wanted: record more or longer histories", total.States, want)
	}
}

// TestPlainControlWithFullSyncLosesNothing shows that it is the sync that the control lacks, and nothing else.
func TestPlainControlWithFullSyncLosesNothing(t *testing.T) {
	needStrace(t)
	r := controlCuts(t, "full", 1, or(*states, 2000, 10_000))
	r.print(t)
	if r.Lost+r.Corrupt+r.Unexpected > 0 {
		t.Errorf("%+v", r)
	}
}

// TestStoreWithoutSyncsIsSeenToLose strikes the syncs of the log out of a store's own record: the same life, the same
// checks, and they must see the loss.
func TestStoreWithoutSyncsIsSeenToLose(t *testing.T) {
	needStrace(t)
	a := newArgs(t, *seed, recorded())
	file, err := record(t, "life", a, "")
	if err != nil {
		t.Fatal(err)
	}
	timeline, err := readTimeline(file, a)
	if err != nil {
		t.Fatal(err)
	}
	var unsynced []step
	for _, s := range timeline {
		if s.kind != stepSync || s.name != dbName+"-wal" {
			unsynced = append(unsynced, s)
		}
	}
	c := &cuts{name: "unsynced", seed: *seed, read: readStore, want: 1000}
	if err := c.run(unsynced); err != nil {
		t.Fatal(err)
	}
	if c.Lost == 0 {
		t.Errorf("no loss seen in %d states", c.States)
	}
}

// each runs a function for some histories, so many at a time as -workers says, and sums up.
func each(t *testing.T, n int, do func(t *testing.T, i int) *report) *report {
	total := new(report)
	var mu sync.Mutex
	var wait sync.WaitGroup
	numbers := make(chan int)
	for range max(*workers, 1) {
		wait.Go(func() {
			for i := range numbers {
				r := do(t, i)
				mu.Lock()
				total.add(r)
				mu.Unlock()
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	wait.Wait()
	return total
}

// cutHistory records a life and cuts it, or cuts one that was kept. A record with something wrong in it is kept.
func cutHistory(t *testing.T, i int, role string, want int) *report {
	a := args{Seed: *seed + uint64(i), Operations: recorded()}
	var file string
	if *history != "" {
		text, err := os.ReadFile(filepath.Join(*history, "args"))
		if err == nil {
			err = json.Unmarshal(text, &a)
		}
		if err != nil {
			t.Error(err)
			return new(report)
		}
		file = filepath.Join(*history, "strace")
	} else {
		a.Dir = t.TempDir()
		err := os.Mkdir(filepath.Join(a.Dir, "db"), 0o700)
		inject := ""
		if role == "life" {
			inject = faultOf(i, &a)
		}
		if err == nil {
			file, err = record(t, role, a, inject)
		}
		if err != nil {
			t.Errorf("history %d: %v", i, err)
			return new(report)
		}
	}
	timeline, err := readTimeline(file, a)
	if err != nil {
		t.Errorf("history %d: %v", i, err)
		return new(report)
	}
	c := &cuts{
		name: role + fmt.Sprint(i), seed: a.Seed, read: readStore, want: want, only: *onlyState,
		opens: *opens, open: useState,
	}
	if role != "life" {
		c.read, c.opens = readPlain, 0
	}
	if err := c.run(timeline); err != nil {
		t.Errorf("history %d: %v", i, err)
	}
	if len(c.found) > 0 && role == "life" && *history == "" {
		keep(t, file, a, c.found)
	}
	return &c.report
}

// faultOf gives the fault that a history lives with, in strace's words. One of four has a sync that fails: the kernel
// may then have dropped what it could not write and call it clean, so that no later sync brings it to disk.
func faultOf(i int, a *args) string {
	if i%4 != 3 {
		return ""
	}
	a.Faults, a.Settle = true, true
	return fmt.Sprintf("fsync,fdatasync:error=EIO:when=%d", 10+(i-3)%40) // the tenth: of the folder, with the first log
}

// keep keeps a record for later.
func keep(t *testing.T, file string, a args, found []finding) {
	dir, err := os.MkdirTemp("", "holdfast-power-record-")
	if err != nil {
		t.Error(err)
		return
	}
	text, _ := os.ReadFile(file)
	line, _ := json.Marshal(a)
	os.WriteFile(filepath.Join(dir, "strace"), text, 0o600)
	os.WriteFile(filepath.Join(dir, "args"), line, 0o600)
	t.Logf("to see it again: go test ./internal/crashtest/power -run TestPowerCutsLoseNothing -record %s -states %d -state %s", dir, or(*states, 20_000, 1_000_000), found[0].state)
}

// controlCuts cuts the lives of the plain queue.
func controlCuts(t *testing.T, role string, n, want int) *report {
	if *history != "" {
		return new(report)
	}
	return each(t, n, func(t *testing.T, i int) *report { return cutHistory(t, i, role, want/n) })
}

// print shows what was found, as errors of the test.
func (r *report) print(t *testing.T) {
	t.Helper()
	for i, f := range r.found {
		if i == 20 {
			t.Errorf("… and more: lost %d, corrupt %d, unexpected %d", r.Lost, r.Corrupt, r.Unexpected)
			break
		}
		t.Errorf("%s, state %s: %s: %s", f.history, f.state, f.sort, f.what)
	}
}
