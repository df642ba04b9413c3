package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path"
	"runtime/debug"
	"time"

	"github.com/holdfastq/holdfast"
)

// A Process makes the output of an input. It must make the same output whenever it is repeated, and return soon once
// ctx has ended. Nobody sees the output before Process has returned nil.
type Process func(ctx context.Context, job holdfast.Info, name string, in io.Reader, out io.Writer) error

// TransformConfig says how Transform works. A zero field is its default.
type TransformConfig struct {
	// Queue is where it takes from. Default "files".
	Queue string

	// In is the only folder whose files it takes, below the primary path. Default ".": the primary path itself.
	In string

	// Out is the folder for its outputs, below the primary path and not the primary path itself; an output has there
	// the path that its input has in In. Default "out".
	Out string

	// Process makes the output. Default Upper.
	Process Process

	// Engine says how jobs are taken and tried: concurrency, pace (see Pace), n_time (MaxRun), n_tries (MaxAttempts),
	// backoff, lease, retention, logger.
	Engine holdfast.Config

	step func(string) error       // of tests
	told func(string, Attachment) // of the demo: an input was renamed
}

func (c TransformConfig) withDefaults() (TransformConfig, error) {
	c.Queue = orDefault(c.Queue, DefaultQueue)
	c.In = orDefault(c.In, ".")
	c.Out = orDefault(c.Out, DefaultOut)
	if c.Process == nil {
		c.Process = Upper
	}
	if c.Engine.Logger == nil {
		c.Engine.Logger = slog.Default()
	}
	if c.Out == "." || c.Out == c.In {
		return c, fmt.Errorf("%w: outputs need a folder of their own, other than that of inputs and the primary path", holdfast.ErrInvalid)
	}
	if err := checkFolder("folder of outputs", c.Out); err != nil {
		return c, err
	}
	return c, checkFolder("folder of inputs", c.In)
}

// Transform takes jobs on files and makes a new file of each, until ctx ends. An output is never seen half-written and
// replaces what an earlier attempt made. An input whose job has failed is renamed *.failed, after the failure is on
// disk, and renamed back when somebody retries the job. (Not so the input of a job that was set aside because it kept
// killing its consumer: nobody was there to record it, and it keeps its name.) Errors as with holdfast.Consume.
func Transform(ctx context.Context, store holdfast.Store, folder *Folder, c TransformConfig) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	t := newTransformer(store, folder, c)
	if err := t.prepare(); err != nil {
		return fmt.Errorf("consumer of %s: %w", c.Queue, err)
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	renaming := make(chan struct{})
	go func() {
		defer close(renaming)
		t.rename(own)
	}()
	err = holdfast.Consume(ctx, t.engine(), t.queue.Handle(t.handle))
	cancel()
	<-renaming
	return err
}

type transformer struct {
	TransformConfig
	store   holdfast.Store
	folder  *Folder
	queue   *holdfast.Queue[File]
	renamer renamer
	failed  chan holdfast.ID // jobs whose failure is on disk
}

func newTransformer(store holdfast.Store, folder *Folder, c TransformConfig) *transformer {
	t := &transformer{TransformConfig: c, store: store, folder: folder, queue: holdfast.NewQueue[File](store, c.Queue), failed: make(chan holdfast.ID, 1_000)}
	t.renamer = renamer{store: store, folder: folder, step: c.step, done: t.renamed}
	return t
}

// prepare makes the folders, in which nothing else is changed.
func (t *transformer) prepare() error {
	if err := t.folder.mkdir(t.In, 0o777); err != nil {
		return err
	}
	return t.folder.mkdir(path.Join(t.Out, partial), 0o777)
}

// engine is the consumer's config, with our look at what has failed.
func (t *transformer) engine() holdfast.Config {
	c := t.Engine
	next := c.Finished
	c.Finished = func(job holdfast.Info, f holdfast.Finished) {
		if f.State == holdfast.Failed {
			select {
			case t.failed <- job.ID:
			default: // the cleaner will do it
			}
		}
		if next != nil {
			next(job, f)
		}
	}
	return c
}

// rename gives failed inputs their names until ctx ends, then those that are left.
func (t *transformer) rename(ctx context.Context) {
	one := func(ctx context.Context, id holdfast.ID) {
		if err := t.renamer.settle(ctx, id); err != nil && ctx.Err() == nil {
			t.Engine.Logger.Warn("rename of a failed input is left to the cleaner", "job", id, "error", err)
		}
	}
	for {
		select {
		case id := <-t.failed:
			one(ctx, id)
			continue
		case <-ctx.Done():
		}
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
		defer cancel()
		for {
			select {
			case id := <-t.failed:
				one(last, id)
			default:
				return
			}
		}
	}
}

func (t *transformer) renamed(job holdfast.Info, r Attachment, err error) {
	tell(t.Engine.Logger, job, r, err)
	if t.told != nil && err == nil {
		t.told(job.ID.String(), r)
	}
}

// tell says what came of renaming a failed input.
func tell(logger *slog.Logger, job holdfast.Info, r Attachment, err error) {
	if err != nil {
		logger.Warn("failed input keeps its name", "path", r.Path, "job", job.ID, "error", err)
		return
	}
	logger.Info("failed input renamed", "path", r.Path, "to", r.Name(), "job", job.ID)
}

// handle is one attempt.
func (t *transformer) handle(ctx context.Context, job *holdfast.Job[File]) error {
	began := time.Now()
	err := t.attempt(ctx, job.Info, job.Data.Path)
	if err == nil {
		t.Engine.Logger.Info("file processed", "path", job.Data.Path, "into", t.output(job.Data.Path), "job", job.ID, "took", time.Since(began).Round(time.Millisecond))
	}
	return err
}

func (t *transformer) attempt(ctx context.Context, job holdfast.Info, name string) error {
	if err := t.check(name); err != nil {
		return holdfast.Permanent(err)
	}
	if err := t.putBack(ctx, &job, name); err != nil {
		return err
	}
	in, info, err := t.folder.open(name)
	if err == nil && names(info) > 1 {
		t.Engine.Logger.Info("input has further names, which may lie outside the folder", "path", name, "names", names(info))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return holdfast.Permanent(fmt.Errorf("input %s is not there", shown(name)))
	case errors.Is(err, errNotRegular):
		return holdfast.Permanent(fmt.Errorf("input: %w", err))
	case err != nil:
		return t.withFile(fmt.Errorf("input: %w", err), name)
	}
	defer in.Close()
	err = t.produce(ctx, job, name, in)
	if err == nil {
		// What grew or changed under our hands may have been read half old, half new.
		if now, statErr := in.Stat(); statErr != nil || now.Size() != info.Size() || !now.ModTime().Equal(info.ModTime()) {
			err = fmt.Errorf("input %s was written to while it was read", shown(name))
		}
	}
	if err != nil {
		return holdfast.WithFile(fmt.Errorf("%s: %w", shown(name), err), t.folder.record(name, info))
	}
	return nil
}

// check says why a path is none of this consumer's.
func (t *transformer) check(name string) error {
	if err := CheckPath(name); err != nil {
		return err
	}
	if _, ok := below(t.In, name); !ok {
		return fmt.Errorf("%w: path %s is not in %s, where this consumer takes from", holdfast.ErrInvalid, shown(name), shown(t.In))
	}
	if _, ok := below(t.Out, name); ok || t.folder.inside(t.Out, name) {
		return fmt.Errorf("%w: path %s is an output of ours, which is never a job", holdfast.ErrInvalid, shown(name))
	}
	return nil
}

// putBack renames a failed input back when its job is tried again.
func (t *transformer) putBack(ctx context.Context, job *holdfast.Info, name string) error {
	record, ok := AttachmentOf(job)
	if !ok {
		return nil
	}
	if record.Path != name {
		return holdfast.Permanent(fmt.Errorf("%w: the job's file is %s, its record says %s", holdfast.ErrCorrupt, shown(name), shown(record.Path)))
	}
	if err := play(t.step, "reopened"); err != nil {
		return err
	}
	err := t.folder.restore(ctx, record)
	if errors.Is(err, errBusy) {
		return holdfast.ReleaseAfter(time.Second)
	}
	if err != nil {
		// For good, with the record as it is: so state and file stay together, whatever is wrong with the folder.
		return holdfast.Permanent(holdfast.WithFile(t.folder.explain(err, record), record))
	}
	return play(t.step, "restored")
}

// withFile adds the record of an input that could not be opened, if it can be seen.
func (t *transformer) withFile(err error, name string) error {
	info, lookErr := t.folder.regular(name)
	if lookErr != nil {
		return err
	}
	return holdfast.WithFile(err, t.folder.record(name, info))
}

// output is the name of what is made of an input.
func (t *transformer) output(name string) string {
	rest, _ := below(t.In, name)
	return path.Join(t.Out, rest)
}

// temporary is where one attempt writes: job and fence keep a consumer that was cut off and its successor apart, and
// tell the cleaner whose it was.
func temporary(out string, job holdfast.Info) string {
	return path.Join(out, partial, fmt.Sprintf("%v-%d", job.ID, job.Fence))
}

// produce makes the output: written under a temporary name, synced, put into place, its folder synced.
func (t *transformer) produce(ctx context.Context, job holdfast.Info, name string, in io.Reader) error {
	out, temp := t.output(name), temporary(t.Out, job)
	if err := t.folder.mkdir(path.Dir(out), 0o777); err != nil {
		return err
	}
	err := t.folder.write(temp, 0o666, func(w io.Writer) error {
		if err := t.run(ctx, job, name, in, w); err != nil {
			return err
		}
		return play(t.step, "half written")
	})
	if err != nil {
		return err
	}
	if err := play(t.step, "written"); err != nil {
		return err
	}
	if ctx.Err() != nil { // another may have the job: keep nothing
		_ = t.folder.root.Remove(temp)
		return context.Cause(ctx)
	}
	if err := t.folder.root.Rename(temp, out); err != nil {
		_ = t.folder.root.Remove(temp)
		return err
	}
	if err := play(t.step, "in place"); err != nil {
		return err
	}
	if err := t.folder.sync(path.Dir(out)); err != nil {
		return err
	}
	return play(t.step, "folder synced")
}

// run calls Process; its panic is an error, so that the input goes with the failure.
func (t *transformer) run(ctx context.Context, job holdfast.Info, name string, in io.Reader, out io.Writer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if err := t.Process(ctx, job, name, contextReader{ctx, in}, out); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// contextReader ends with its context, so that a long input does not outlive its attempt.
type contextReader struct {
	ctx context.Context
	in  io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.in.Read(p)
}

// Pace is for TransformConfig.Engine.Pace: a random pause between least and most after each job.
func Pace(least, most time.Duration) func() time.Duration {
	return func() time.Duration {
		if most <= least {
			return least
		}
		return least + rand.N(most-least+1)
	}
}
