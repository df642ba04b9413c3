package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfastq/holdfast"
)

// DemoConfig says how Demo works. A zero field is its default; the seeds' values are in brackets.
type DemoConfig struct {
	// Dir is the primary path, made if it is missing. Files are made in its folder in, outputs in out; nothing else is
	// written. Default "demo".
	Dir string

	// Store is how a person names the store, for the hints. Default "holdfast.db", which needs no --store.
	Store string

	// Command is how a person starts the command, for the hints. Default "holdfast".
	Command string

	// Queue is the queue of the files. Default "files".
	Queue string

	// Every is the pause between two files. Default 1 s [5 s].
	Every time.Duration

	// Pace bounds the consumer's random pause after each attempt. Default 200 ms to 800 ms [7 s to 15 s], so that it keeps
	// up with the producer, repeated attempts and all; No, No: none.
	Pace [2]time.Duration

	// FailOneIn makes one file in so many fail on purpose: some at once and for good, some at every attempt until a
	// person retries the job, some only at the first. Default 4; No: none.
	FailOneIn int

	// MaxAttempts is n_tries. Default 3 [3].
	MaxAttempts int

	// MaxRun is n_time. Default 1 h [1 h].
	MaxRun time.Duration

	// Backoff is the pause before the next attempt, doubled each time: least and most. Default 1 s to 5 s.
	Backoff [2]time.Duration

	// ManagerEvery is how often the manager looks for jobs of dead consumers, at least every 10 s. Default 5 s [60 s].
	ManagerEvery time.Duration

	// CleanerEvery is how often the cleaner looks for failed files. Default 30 s [30 s].
	CleanerEvery time.Duration

	// KeepFailed is how long a *.failed is kept with its job. Default 10 min, which is also the least.
	KeepFailed time.Duration

	// Grace is how long a running handler may go on after the end was asked for. Default 3 s.
	Grace time.Duration

	// Machine is this machine's name. Default: the host's.
	Machine string

	// Out hears what happens, a line each. Default os.Stdout.
	Out io.Writer
}

func (c DemoConfig) withDefaults() (DemoConfig, error) {
	c.Dir = orDefault(c.Dir, "demo")
	c.Store = orDefault(c.Store, "holdfast.db")
	c.Command = orDefault(c.Command, "holdfast")
	c.Queue = orDefault(c.Queue, DefaultQueue)
	c.Every = orDefault(c.Every, time.Second)
	c.Pace = orDefault(c.Pace, [2]time.Duration{200 * time.Millisecond, 800 * time.Millisecond})
	c.FailOneIn = orDefault(c.FailOneIn, 4)
	c.MaxAttempts = orDefault(c.MaxAttempts, 3)
	c.MaxRun = orDefault(c.MaxRun, holdfast.DefaultMaxRun)
	c.Backoff = orDefault(c.Backoff, [2]time.Duration{time.Second, 5 * time.Second})
	c.ManagerEvery = orDefault(c.ManagerEvery, holdfast.DefaultSweepEvery)
	c.CleanerEvery = orDefault(c.CleanerEvery, DefaultCleanEvery)
	c.KeepFailed = max(orDefault(c.KeepFailed, holdfast.MinKept), holdfast.MinKept)
	c.Grace = orDefault(c.Grace, 3*time.Second)
	if c.Out == nil {
		c.Out = os.Stdout
	}
	if c.Pace[0] > c.Pace[1] || c.Backoff[0] > c.Backoff[1] {
		return c, fmt.Errorf("%w: a pause of %v to %v, or backoff of %v to %v: the first must not be the longer", holdfast.ErrInvalid,
			c.Pace[0], c.Pace[1], c.Backoff[0], c.Backoff[1])
	}
	return c, nil
}

// Demo is the seeds' story, to be watched: a producer makes files and puts jobs, a consumer makes new files of them, a
// manager gives back the jobs of dead consumers, a cleaner removes failed files with their jobs. Each has a loop and an
// interval of its own. It runs until ctx ends, then says what came of it and what to type next, and returns nil. Started
// again it goes on where it ended.
func Demo(ctx context.Context, store holdfast.Store, c DemoConfig) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o777); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	folder, err := OpenFolder(c.Dir, c.Machine)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer folder.Close()
	d := &demo{DemoConfig: c, store: store, folder: folder, talker: &talker{out: c.Out}}
	d.hello()
	if err := d.run(ctx); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	d.bye(context.WithoutCancel(ctx))
	return nil
}

type demo struct {
	DemoConfig
	store  holdfast.Store
	folder *Folder
	talker *talker

	made, processed, failed, retried atomic.Int64
}

// worker is one loop of the demo.
type worker struct {
	name string
	run  func(context.Context) error
}

func (d *demo) workers() []worker {
	keep := holdfast.Retention{Failed: d.KeepFailed}
	return []worker{
		{"producer", d.produce},
		{"consumer", func(ctx context.Context) error {
			return Transform(ctx, d.store, d.folder, TransformConfig{Queue: d.Queue, In: "in", Process: d.process, Engine: holdfast.Config{
				Name: "consumer", Concurrency: 1, Grace: d.Grace, MaxRun: d.MaxRun, MaxAttempts: d.MaxAttempts, Keep: keep,
				Backoff: holdfast.Backoff(d.Backoff[0], d.Backoff[1]), Pace: Pace(d.Pace[0], d.Pace[1]),
				Finished: d.finished, Logger: d.talker.of("consumer"),
			}})
		}},
		{"manager", func(ctx context.Context) error {
			return holdfast.Maintain(ctx, d.store, holdfast.Config{SweepEvery: d.ManagerEvery, PurgeEvery: d.CleanerEvery, Keep: keep, Logger: d.talker.of("manager")})
		}},
		{"cleaner", func(ctx context.Context) error {
			return Clean(ctx, d.store, d.folder, CleanConfig{Queues: []string{d.Queue}, Every: d.CleanerEvery, Keep: d.KeepFailed, Logger: d.talker.of("cleaner")})
		}},
	}
}

// run runs the workers until ctx ends or one of them cannot go on.
func (d *demo) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	for _, w := range d.workers() {
		running.Go(func() {
			if err := w.run(ctx); err != nil {
				cancel(&workerError{w.name, err})
			}
		})
	}
	running.Wait()
	if failed := (*workerError)(nil); errors.As(context.Cause(ctx), &failed) {
		return failed
	}
	return nil
}

// workerError tells a worker's trouble from an end that was asked for.
type workerError struct {
	worker string
	err    error
}

func (e *workerError) Error() string { return e.worker + ": " + e.err.Error() }
func (e *workerError) Unwrap() error { return e.err }

// produce takes a producer's name that no other demo on this folder uses.
func (d *demo) produce(ctx context.Context) error {
	for n := 1; ; n++ {
		name := "demo"
		if n > 1 {
			name = fmt.Sprintf("demo-%d", n)
		}
		err := Generate(ctx, d.store, d.folder, GenerateConfig{
			Name: name, Queue: d.Queue, In: "in", Every: d.Every, Content: d.content, Logger: d.talker.of("producer"),
			made: func(string, holdfast.ID) { d.made.Add(1) },
		})
		if n == 9 || !errors.Is(err, holdfast.ErrConflict) {
			return err
		}
	}
}

func (d *demo) finished(_ holdfast.Info, f holdfast.Finished) {
	switch {
	case f.State == holdfast.Done:
		d.processed.Add(1)
	case f.State == holdfast.Failed:
		d.failed.Add(1)
	case f.Why == holdfast.ReasonRetry:
		d.retried.Add(1)
	}
}

func (d *demo) hello() {
	say := func(format string, args ...any) { d.talker.say("demo", format, args...) }
	say("files in %s become files in %s; the jobs between them are kept in %s", filepath.Join(d.Dir, "in"), filepath.Join(d.Dir, DefaultOut), d.Store)
	say("producer: a file every %v · consumer: pauses %v to %v after each, %d attempts of at most %v", d.Every, max(d.Pace[0], 0), max(d.Pace[1], 0), d.MaxAttempts, d.MaxRun)
	say("manager: looks every %v · cleaner: every %v, removes a *.failed with its job after %v", d.ManagerEvery, d.CleanerEvery, d.KeepFailed)
	if d.FailOneIn > 0 {
		say("one file in %d fails on purpose; out of attempts it is renamed %s", d.FailOneIn, "*"+FailedSuffix)
	}
	say("the queue is %s; in another terminal: %s · Ctrl-C here ends it", d.Queue, d.hint("ls"))
}

// hint is a command to type, in the form in which this one was started.
func (d *demo) hint(words string) string {
	verb, rest, _ := strings.Cut(words, " ")
	text := d.Command + " " + verb
	if d.Store != "holdfast.db" {
		text += " --store " + shown(d.Store)
	}
	return strings.TrimSuffix(text+" "+rest, " ")
}

// bye says what came of it, and what to type next.
func (d *demo) bye(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, finishWithin)
	defer cancel()
	say := func(format string, args ...any) { d.talker.say("demo", format, args...) }
	say("ended: %d files made, %d processed, %d attempts to be repeated, %d failed for good", d.made.Load(), d.processed.Load(), d.retried.Load(), d.failed.Load())
	counts, err := d.store.Counts(ctx)
	if err != nil {
		say("the store could not be asked what is left: %v", err)
		return
	}
	for _, c := range counts {
		if c.Queue == d.Queue {
			say("kept in %s: %d done, %d failed, %d waiting, %d scheduled, %d running; nothing is lost, start it again to go on",
				d.Store, c.Of(holdfast.Done), c.Of(holdfast.Failed), c.Of(holdfast.Waiting), c.Of(holdfast.Scheduled), c.Of(holdfast.Running))
		}
	}
	page, err := d.store.List(ctx, holdfast.List{Filter: holdfast.Filter{Queues: []string{d.Queue}, States: []holdfast.State{holdfast.Failed}, Attached: true}, Limit: 1, Data: true})
	if err != nil {
		say("the store could not be asked what has failed: %v", err)
		return
	}
	id := "ID"
	if len(page.Jobs) > 0 {
		id = page.Jobs[0].ID.String()
		if r, ok := AttachmentOf(&page.Jobs[0]); ok {
			say("one of the failed: %s", filepath.Join(d.Dir, filepath.FromSlash(r.Name())))
		}
	}
	say("next: %s", d.hint("ls"))
	say("      %s", d.hint("show "+id))
	say("      %s, then start the demo again", d.hint("retry "+id))
	say("      and look into %s", filepath.Join(d.Dir, DefaultOut))
}
