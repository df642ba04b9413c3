package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/supervise"
)

// What a command answers by its exit code; any other but 0 is a failed attempt.
const (
	exitForGood = 65
	exitAgain   = 75
)

// CommandConfig says how Command works. A zero field is its default.
type CommandConfig struct {
	// Queue is where it takes from. Default "files".
	Queue string

	// Command is the program and its arguments, in which {in} and {out} stand for two files. No shell sees it.
	Command []string

	// Out is the folder for outputs, below the primary path. Default: "out" if the command has {out}, else none.
	Out string

	// Then is a queue that gets a job for each that is done: its output, else its result, else its data. Default: none.
	Then string

	// Env names variables of ours that the command may see, besides PATH, HOME and LANG.
	Env []string

	// Store is the store's name, for HOLDFAST_STORE. Default: the command is not told.
	Store string

	// KillAfter is the time from TERM to KILL. Default 4 s; more than the engine's 5 s after Grace makes no sense.
	KillAfter time.Duration

	// Again is when a job is due again whose command answered 75. Default 10 s.
	Again time.Duration

	// Talk gets what happens and what commands print, as lines for people; it may be slow. Default: nothing but
	// Engine.Logger.
	Talk io.Writer

	// Engine says how jobs are taken and tried: see TransformConfig. Its Logger is not used if there is Talk. Default
	// of MaxAttempts is 3, of Concurrency 1.
	Engine holdfast.Config
}

func (c CommandConfig) withDefaults() (CommandConfig, error) {
	c.Queue = orDefault(c.Queue, DefaultQueue)
	c.KillAfter = orDefault(c.KillAfter, supervise.DefaultGrace)
	c.Again = orDefault(c.Again, 10*time.Second)
	c.Engine.MaxAttempts = orDefault(c.Engine.MaxAttempts, 3)
	c.Engine.Concurrency = orDefault(c.Engine.Concurrency, 1)
	if c.Engine.Logger == nil {
		c.Engine.Logger = slog.Default()
	}
	if len(c.Command) == 0 || c.Command[0] == "" {
		return c, fmt.Errorf("%w: there is no command", holdfast.ErrInvalid)
	}
	if c.Out == "" && c.asksFor("{out}") {
		c.Out = DefaultOut
	}
	if c.Then != "" {
		if err := holdfast.CheckQueueName(c.Then); err != nil {
			return c, err
		}
	}
	for _, name := range c.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return c, fmt.Errorf("%w: %s is no name of an environment variable", holdfast.ErrInvalid, shown(name))
		}
	}
	if c.Out == "." {
		return c, fmt.Errorf("%w: outputs need a folder of their own, other than the primary path", holdfast.ErrInvalid)
	}
	if c.Out != "" {
		return c, checkFolder("folder of outputs", c.Out)
	}
	return c, nil
}

func (c *CommandConfig) asksFor(place string) bool {
	return slices.ContainsFunc(c.Command[1:], func(arg string) bool { return strings.Contains(arg, place) })
}

// Command takes jobs and runs a command for each, until ctx ends. How the command is told about its job and how it
// answers is in docs/scripts.md. Nothing that the command started outlives its attempt, nor us. An output is never seen
// half-written; inputs of failed jobs are renamed as Transform does. Errors as with holdfast.Consume, and ErrInvalid if
// there is no such command.
func Command(ctx context.Context, store holdfast.Store, folder *Folder, c CommandConfig) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	if c.Command[0], err = supervise.Find(c.Command[0]); err != nil {
		return fmt.Errorf("%w: consumer of %s: %w", holdfast.ErrInvalid, c.Queue, err)
	}
	r := newCommander(store, folder, c)
	if err := r.open(ctx); err != nil {
		return fmt.Errorf("consumer of %s: %w", c.Queue, err)
	}
	defer r.close()
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	renaming := make(chan struct{})
	go func() {
		defer close(renaming)
		r.files.rename(own)
	}()
	err = holdfast.Consume(ctx, r.files.engine(), r.queue.Handle(r.handle))
	cancel()
	<-renaming
	return err
}

// commander is one Command.
type commander struct {
	CommandConfig
	store  holdfast.Store
	folder *Folder
	queue  *holdfast.Queue[json.RawMessage]
	files  *transformer // what becomes of failed inputs
	talk   *talker      // nil: nobody listens
	lossy  *supervise.Lossy
	data   *workshop // for data that is given as a file
	outs   *workshop // for outputs until they are whole; nil: there are none
}

func newCommander(store holdfast.Store, folder *Folder, c CommandConfig) *commander {
	c.Command = slices.Clone(c.Command)
	r := &commander{store: store, folder: folder, queue: holdfast.NewQueue[json.RawMessage](store, c.Queue)}
	if c.Talk != nil {
		r.lossy = supervise.NewLossy(c.Talk)
		r.talk = &talker{out: r.lossy}
		c.Engine.Logger = r.talk.of(c.Queue)
	}
	r.CommandConfig = c
	r.files = newTransformer(store, folder, TransformConfig{Queue: c.Queue, In: ".", Out: c.Out, Engine: c.Engine})
	return r
}

// open ends what an earlier start has left behind and makes the folders.
func (r *commander) open(ctx context.Context) (err error) {
	if n := supervise.Sweep(); n > 0 {
		r.Engine.Logger.Warn("processes of a consumer that died were ended", "processes", n)
	}
	if r.data, err = openWorkshop(ctx, r.folder, ".holdfast/work"); err != nil {
		return err
	}
	if r.Out == "" {
		return nil
	}
	if r.outs, err = openWorkshop(ctx, r.folder, path.Join(r.Out, partial)); err != nil {
		r.data.close()
		return err
	}
	return nil
}

func (r *commander) close() {
	r.data.close()
	if r.outs != nil {
		r.outs.close()
	}
	if r.lossy != nil {
		r.lossy.Close()
	}
}

// handle is one attempt.
func (r *commander) handle(ctx context.Context, job *holdfast.Job[json.RawMessage]) error {
	t := &task{commander: r, job: job}
	defer t.clear()
	if err := t.begin(ctx); err != nil {
		return err
	}
	began := time.Now()
	err := t.withFile(t.run(ctx))
	if err == nil {
		r.Engine.Logger.Info("job processed", "path", t.path, "into", t.out, "job", job.ID, "took", time.Since(began).Round(time.Millisecond))
	}
	return err
}

// run runs the command and takes its answer.
func (t *task) run(ctx context.Context) error {
	listener := newListener(t)
	exit, err := supervise.Run(ctx, supervise.Command{
		Args: t.args(), Dir: t.folder.Name(), Env: t.environment(), Stdin: bytes.NewReader(append(bytes.Clone(t.job.Info.Data), '\n')),
		Line: listener.line, Long: directive, LongBytes: maxDirective, Grace: t.KillAfter,
	})
	listener.end(&exit, err)
	switch {
	case exit.Left > 0:
		t.Engine.Logger.Error("processes of a command cannot be ended", "job", t.job.ID, "processes", exit.Left)
	case exit.Strays:
		t.Engine.Logger.Warn("the command left processes behind, which were ended", "job", t.job.ID)
	}
	if err != nil && !errors.Is(err, supervise.ErrNotStarted) {
		return err // how it ended is unknown
	}
	if ctx.Err() != nil { // also if the command made it to exit 0: another may have the job
		return t.cutOff(ctx, &exit)
	}
	if err != nil {
		return err
	}
	switch exit.Code {
	case 0:
		if listener.err != nil {
			return listener.err
		}
		return t.finish(ctx, listener)
	case exitForGood:
		return holdfast.Permanent(failure(&exit))
	case exitAgain:
		return holdfast.ReleaseAfter(t.Again)
	}
	return failure(&exit)
}

// cutOff is the answer of an attempt that was told to end.
func (t *task) cutOff(ctx context.Context, exit *supervise.Exit) error {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, holdfast.ErrStopping):
		return holdfast.ReleaseAfter(0)
	case errors.Is(cause, holdfast.ErrTimedOut):
		return failure(exit) // the engine says the rest
	}
	return cause
}

// failure makes an error of how a command ended: its last line on stderr says most.
func failure(exit *supervise.Exit) error {
	if exit.LastErr == "" {
		return errors.New(exit.String())
	}
	return fmt.Errorf("%v: %s", exit, clean(exit.LastErr))
}
