package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The same for every system.
const (
	callers   = 64   // goroutines of put_single_64
	batch     = 1000 // jobs in one call of put_batch and lives
	slots     = 100  // jobs at once in the consumer
	dataBytes = 100  // of a job
)

// measures in the order in which they are taken. Each begins with an empty database, but take_finish has what put_batch
// left.
var measures = []string{"put_single_64", "put_batch", "take_finish", "lives"}

// A system is one way to keep a queue.
type system struct {
	name  string
	store string // where it keeps the jobs
	open  func(ctx context.Context, path string) (queue, error)
}

// A queue is a system at work on one file. Puts are safe for concurrent use, also beside Consume.
type queue interface {
	Put(ctx context.Context) error      // one job; nil: on disk
	PutBatch(ctx context.Context) error // batch jobs in one step

	// Consume takes and finishes jobs until g is reached, then ends in peace. When it returns, all that it counted is
	// on disk.
	Consume(ctx context.Context, g *goal) error

	Finished(ctx context.Context) (int, error) // jobs that the file says are done
	Close() error
}

// A goal counts jobs until there are as many as somebody asked for, which may become known late.
type goal struct {
	done, want atomic.Int64
	reached    chan struct{}
	once       sync.Once
}

func newGoal() *goal {
	g := &goal{reached: make(chan struct{})}
	g.want.Store(1 << 62)
	return g
}

func (g *goal) add(n int) {
	g.done.Add(int64(n))
	g.check()
}

func (g *goal) expect(n int) {
	g.want.Store(int64(n))
	g.check()
}

func (g *goal) check() {
	if g.done.Load() >= g.want.Load() {
		g.once.Do(func() { close(g.reached) })
	}
}

// A sample is one measure of one system, taken once.
type sample struct {
	jobs   int
	took   time.Duration
	counts counts
}

func (s sample) rate() float64 { return float64(s.jobs) / s.took.Seconds() }

func (s sample) per1000(n int64) float64 { return float64(n) * 1000 / float64(s.jobs) }

// A plan is what to measure, for how long and where.
type plan struct {
	systems  []system
	measures []string
	rounds   int
	length   time.Duration
	dir      string
	talk     io.Writer
}

// run measures all systems in turn, round after round, so that a slow minute of the machine hits all of them.
func (p plan) run(ctx context.Context) (results, error) {
	r := results{}
	for round := range p.rounds {
		fmt.Fprintf(p.talk, "round %d of %d\n", round+1, p.rounds)
		for _, s := range p.systems {
			if err := p.measure(ctx, s, r); err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return r, nil
}

// measure takes each measure of one system once.
func (p plan) measure(ctx context.Context, s system, r results) error {
	for _, m := range []struct {
		names []string // that it gives
		take  func(context.Context, queue, func(string, sample)) error
	}{
		{[]string{"put_single_64"}, p.putSingle},
		{[]string{"put_batch", "take_finish"}, p.putThenTake},
		{[]string{"lives"}, p.lives},
	} {
		wanted := func(name string) bool { return slices.Contains(p.measures, name) }
		if !slices.ContainsFunc(m.names, wanted) {
			continue
		}
		record := func(name string, v sample) {
			if wanted(name) {
				r.add(s.name, name, v)
			}
		}
		err := p.inFolder(ctx, s, func(q queue) error { return m.take(ctx, q, record) })
		if err != nil {
			return fmt.Errorf("%s: %w", m.names[len(m.names)-1], err)
		}
	}
	return nil
}

// inFolder opens the system on a new file, and removes it afterwards.
func (p plan) inFolder(ctx context.Context, s system, do func(queue) error) error {
	dir, err := os.MkdirTemp(p.dir, s.name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	q, err := s.open(ctx, filepath.Join(dir, "bench.db"))
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	runtime.GC()
	err = do(q)
	if closeErr := q.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("close: %w", closeErr)
	}
	return err
}

func (p plan) putSingle(ctx context.Context, q queue, record func(string, sample)) error {
	w := startWatch()
	var n atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, callers)
	for range callers {
		wg.Go(func() {
			for w.elapsed() < p.length {
				if err := q.Put(ctx); err != nil {
					errs <- err
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	record("put_single_64", w.stop(int(n.Load())))
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

func (p plan) putThenTake(ctx context.Context, q queue, record func(string, sample)) error {
	w := startWatch()
	n, err := p.putBatches(ctx, q, w)
	if err != nil {
		return err
	}
	record("put_batch", w.stop(n))

	g := newGoal()
	g.expect(n)
	w = startWatch()
	if err := q.Consume(ctx, g); err != nil {
		return err
	}
	record("take_finish", w.stop(n))
	return checkFinished(ctx, q, n)
}

// lives puts and takes at the same time. The clock stops when all that was put is finished.
func (p plan) lives(ctx context.Context, q queue, record func(string, sample)) error {
	g := newGoal()
	consumed := make(chan error, 1)
	w := startWatch()
	go func() { consumed <- q.Consume(ctx, g) }()
	n, err := p.putBatches(ctx, q, w)
	g.expect(n)
	if consumeErr := <-consumed; err == nil {
		err = consumeErr
	}
	if err != nil {
		return err
	}
	record("lives", w.stop(n))
	return checkFinished(ctx, q, n)
}

// putBatches puts batches, at least one, until the watch shows the plan's length.
func (p plan) putBatches(ctx context.Context, q queue, w watch) (int, error) {
	n := 0
	for n == 0 || w.elapsed() < p.length {
		if err := q.PutBatch(ctx); err != nil {
			return n, err
		}
		n += batch
	}
	return n, nil
}

// checkFinished keeps a system honest: what it reported must be what its file says.
func checkFinished(ctx context.Context, q queue, want int) error {
	got, err := q.Finished(ctx)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%d jobs were put and %d are finished", want, got)
	}
	return nil
}

// A watch measures time and what reaches the disk in it.
type watch struct {
	start  time.Time
	counts counts
}

func startWatch() watch { return watch{time.Now(), countsNow()} }

func (w watch) elapsed() time.Duration { return time.Since(w.start) }

func (w watch) stop(jobs int) sample {
	return sample{jobs, time.Since(w.start), countsNow().since(w.counts)}
}
