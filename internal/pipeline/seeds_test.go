package pipeline

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
)

// TestTheSeedsStory has the seeds' figures: a file every 5 s, consumers that take one every 7 to 15 s, 3 tries of at
// most an hour, a cleaner that looks every 30 s, a manager every 60 s; files that failed are removed at once, which here
// means after 10 minutes.
func TestTheSeedsStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		keep := holdfast.Retention{Failed: holdfast.No}
		everyTenthFails := func(ctx context.Context, job holdfast.Info, name string, in io.Reader, out io.Writer) error {
			if strings.HasPrefix(filepath.Base(name), "a") || strings.HasPrefix(filepath.Base(name), "b") {
				return errors.New("a name that begins so cannot be processed")
			}
			return Upper(ctx, job, name, in, out)
		}
		var workers sync.WaitGroup
		run := func(f func() error) { workers.Go(func() { h.must(f()) }) }
		run(func() error { return Generate(ctx, h.store, h.folder, GenerateConfig{Logger: quietLogger}) })
		for _, name := range []string{"consumer1", "consumer2", "consumer3"} {
			run(func() error {
				return Transform(ctx, h.store, h.folder, TransformConfig{Process: everyTenthFails, Engine: holdfast.Config{
					Name: name, Concurrency: 1, Pace: Pace(7*time.Second, 15*time.Second), MaxAttempts: 3, MaxRun: time.Hour, Keep: keep, Logger: quietLogger,
				}})
			})
		}
		run(func() error {
			return holdfast.Maintain(ctx, h.store, holdfast.Config{SweepEvery: time.Minute, Lease: 3 * time.Minute, Keep: keep, Logger: quietLogger})
		})
		run(func() error {
			return Clean(ctx, h.store, h.folder, CleanConfig{Every: 30 * time.Second, Keep: holdfast.No, Logger: quietLogger})
		})
		workers.Wait()

		states := map[holdfast.State]int{}
		for job, err := range holdfast.NewOperator(h.store, "test").Jobs(t.Context(), holdfast.Filter{}) {
			h.must(err)
			states[job.State]++
			if age := time.Since(job.EndedAt); job.State == holdfast.Failed && age > 11*time.Minute {
				t.Errorf("job %v failed %v ago and is still kept", job.ID, age)
			}
		}
		t.Logf("kept after an hour: %v", states)
		if states[holdfast.Done] < 550 {
			t.Errorf("%d processed in an hour, want most of 720", states[holdfast.Done])
		}
		h.equal("outputs", len(files(t, h.file("out"))), states[holdfast.Done])
		failed, _ := filepath.Glob(h.file("*.failed"))
		h.equal("*.failed", len(failed), states[holdfast.Failed])
	})
}

func TestTwoDemosOnOneFolderDoNotDisturbEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		dir := filepath.Join(t.TempDir(), "demo")
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() { runDemo(t, store, DemoConfig{Dir: dir}, 30*time.Second) })
		}
		both.Wait()
		runDemo(t, store, DemoConfig{Dir: dir, Every: time.Hour, Pace: [2]time.Duration{holdfast.No, holdfast.No}}, time.Minute)
		everyInputHasItsEnd(t, store, dir)
	})
}

func TestDemoEndsWithTheTroubleOfItsWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		time.AfterFunc(5*time.Second, func() { store.Close() })
		err := Demo(t.Context(), store, DemoConfig{Dir: t.TempDir(), Out: io.Discard})
		if !errors.Is(err, holdfast.ErrClosed) {
			t.Errorf("closed store: %v", err)
		}
	})
}

func TestDemoSaysNothingThatMovesATerminal(t *testing.T) {
	var out strings.Builder
	talker := &talker{out: &out}
	talker.of("producer").Warn("no\nfile", "path", "in/\x1b[31mred", "error", errors.New("a\tb\x07\u202ec"), "took", 1500*time.Microsecond, "queue", "files")
	if want := "producer  no file: a b  c \"in/\\x1b[31mred\" (took 2ms)\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
