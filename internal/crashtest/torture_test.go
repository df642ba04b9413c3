//go:build unix

package crashtest

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/sqlite"
)

var full = flag.Bool("full", false, "torture at full size: minutes instead of seconds")

// sized gives the full size of a test, or the one that is fit for every change: less with the race detector.
func sized(small, large int) int {
	switch {
	case *full:
		return large
	case raceDetector:
		return (small + 1) / 2
	}
	return small
}

// figures prints what was measured, as one line of JSON.
func figures(t *testing.T, what string, pairs ...any) {
	t.Helper()
	row := map[string]any{"test": what, "race": raceDetector, "full": *full}
	for i := 0; i+1 < len(pairs); i += 2 {
		row[pairs[i].(string)] = pairs[i+1]
	}
	line, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s\n", line)
}

// bounded fails the test if a measured duration is over its bound.
func bounded(t *testing.T, what string, got, most time.Duration) {
	t.Helper()
	switch {
	case got <= most:
	case raceDetector:
		t.Logf("%s: %v, over %v, but the race detector slows everything down", what, got, most)
	default:
		t.Errorf("%s: %v, want at most %v", what, got, most)
	}
}

// place is where the processes of a test meet.
type place struct {
	DB  string // the database
	Dir string // of journals
}

func newPlace(t *testing.T) place {
	t.Helper()
	dir := t.TempDir()
	return place{filepath.Join(dir, "app.db"), dir}
}

func (p place) open(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), p.DB)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// task is what the jobs of the torture carry.
type task struct {
	N    int
	Kill bool // its handler kills its own process
}

const tortured = "tortured"

// produce is a role: it puts as many jobs as it is told, several at once, and writes down which Puts were answered.
func produce(c *Child) error {
	var p place
	if err := c.Args(&p); err != nil {
		return err
	}
	store, err := sqlite.Open(c.Ctx, p.DB)
	if err != nil {
		return err
	}
	defer store.Close()
	journal, err := OpenJournal(p.Dir, "put")
	if err != nil {
		return err
	}
	queue := holdfast.NewQueue[task](store, tortured)
	for {
		line, err := c.Hear()
		if err != nil {
			return nil // told to end
		}
		n, err := strconv.Atoi(line)
		if err != nil {
			return err
		}
		var group sync.WaitGroup
		var left atomic.Int64
		left.Store(int64(n))
		failed := make(chan error, 8)
		for range cap(failed) {
			group.Go(func() {
				for i := left.Add(-1); i >= 0; i = left.Add(-1) {
					id, err := queue.Put(context.WithoutCancel(c.Ctx), task{N: int(i)})
					if err == nil {
						err = journal.Put(id)
					}
					if err != nil {
						failed <- err
						return
					}
				}
			})
		}
		group.Wait()
		select {
		case err := <-failed:
			return err
		default:
			c.Say("put %d", n)
		}
	}
}

// consume is a role: it handles jobs as any program would, and writes down when handlers start and end.
func consume(c *Child) error {
	var p place
	if err := c.Args(&p); err != nil {
		return err
	}
	store, err := sqlite.Open(c.Ctx, p.DB)
	if err != nil {
		return err
	}
	defer store.Close()
	journal, err := OpenJournal(p.Dir, "run")
	if err != nil {
		return err
	}
	handler := holdfast.NewQueue[task](store, tortured).Handle(func(ctx context.Context, job *holdfast.Job[task]) error {
		lease := holdfast.Lease{Job: job.ID, Fence: job.Fence()}
		if err := journal.Start(lease); err != nil {
			return err
		}
		if job.Data.Kill {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			<-ctx.Done()
		}
		select {
		case <-time.After(rand.N(2 * time.Millisecond)): // the work
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		return journal.End(lease)
	})
	c.Say("up")
	return holdfast.Consume(c.Ctx, holdfast.Config{Concurrency: 8, Logger: quiet()}, handler)
}

// quiet hears warnings alone: they are shown when the test fails.
func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// deaths remembers when processes were killed.
type deaths struct {
	mu sync.Mutex
	at map[int]time.Time
}

func (d *deaths) note(pid int, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if was := d.at[pid]; was.IsZero() || at.Before(was) {
		d.at[pid] = at
	}
}

func (d *deaths) of(pid int) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at[pid]
}

// Four producers and four consumers share a file; each consumer is killed again and again, at random moments.
func TestTortureLosesNothingAndRepeatsOnlyWhatTheDeadHeld(t *testing.T) {
	const many = 4
	jobs, kills := sized(20_000, 100_000), sized(10, 50)
	p := newPlace(t)
	store := p.open(t)
	began := time.Now()

	producers := make([]*Process, many)
	for i := range producers {
		producers[i] = Start(t, "produce", p)
	}
	put := func(producer *Process, n int) {
		producer.Say("%d", n)
		producer.Expect("put")
	}
	share := jobs / 2 / many // half of them are there at the beginning, the rest comes with the kills
	var group sync.WaitGroup
	for _, producer := range producers {
		group.Go(func() { put(producer, share) })
	}
	group.Wait()
	killer, err := holdfast.NewQueue[task](store, tortured).Put(t.Context(), task{Kill: true}, holdfast.Priority(1))
	if err != nil {
		t.Fatal(err)
	}

	died := &deaths{at: map[int]time.Time{}}
	last := make([]*Process, many)
	for i := range many {
		group.Go(func() {
			rest := jobs/many - share
			process := Start(t, "consume", p)
			for killed := 0; killed < kills; {
				process.Expect("up")
				select {
				case <-process.Gone(): // by the planted job
				case <-time.After(100*time.Millisecond + rand.N(1700*time.Millisecond)):
					died.note(process.PID, process.Kill())
					killed++
					n := rest / kills
					if killed == kills {
						n = rest - (kills-1)*n
					}
					put(producers[i], n)
				}
				if !process.Killed() {
					t.Errorf("a consumer ended by itself:\n%s", process.Stderr())
					return
				}
				process = Start(t, "consume", p)
			}
			last[i] = process
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	settle(t, store)
	took := time.Since(began)
	for _, process := range append(last, producers...) {
		process.End()
	}
	checkTorture(t, p, store, killer, died, jobs)
	if !t.Failed() {
		figures(t, "torture", "jobs", jobs, "kills", many*kills, "seconds", took.Seconds())
	}
}

// settle waits until every job has ended.
func settle(t *testing.T, store holdfast.Store) {
	t.Helper()
	deadline := time.After(5 * time.Minute)
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		counts, err := store.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		open := int64(0)
		for _, c := range counts {
			open += c.Of(holdfast.Scheduled) + c.Of(holdfast.Waiting) + c.Of(holdfast.Running)
		}
		if open == 0 {
			return
		}
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("jobs do not end: %+v", counts)
		}
	}
}
