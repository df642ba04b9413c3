package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/supervise"
)

const (
	exitOwn     = 125              // of run: our own trouble, not the command's
	runQueue    = "run"            // of run, if nobody says otherwise
	runStartBy  = 10 * time.Second // a recorded run that has not started by then never will
	signalCodes = 128              // and the signal's number, as shells have it
)

// childExit ends the process with a child's exit code.
type childExit struct {
	code int
	err  error // nil: the child has said what there was to say
}

func (e *childExit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *childExit) Unwrap() error { return e.err }

func (a *app) runCommand() *cobra.Command {
	queue := runQueue
	nTime := duration(0)
	cmd := &cobra.Command{
		Use:        "run -- COMMAND…",
		Short:      "run a command here as a recorded job; its output, its exit code",
		SuggestFor: []string{"exec", "execute"},
		Long: `Runs a command here, without a shell, and keeps a record of it as a job: when it began and ended, how it ended, and the
last 64 KB of its output, for show and ls. Its output and its exit code are the command's own (128 and the number of the
signal that ended it); 125 is trouble of our own. It is tried once. The job holds no command: nobody else can run it. What
the command sees of the environment is all that we see, and HOLDFAST_JOB_ID and its like.

Ctrl-C, or a cancel of the job, ends the command and all that it has started: with TERM, 4 s later with KILL.`,
		Example: `  holdfast run -- pg_dump -f dump.sql mydb
  holdfast run --queue nightly --n-time 2h -- ./backup.sh`,
		Args: arguments(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := a.runHere(cmd.Context(), queue, time.Duration(nTime), args)
			if exit := (*childExit)(nil); err != nil && !errors.As(err, &exit) && !errors.Is(err, errUsage) && !errors.Is(err, holdfast.ErrInvalid) {
				return &childExit{exitOwn, err}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // flags after the command are its own, with or without --
	f.SortFlags = false
	f.StringVar(&queue, "queue", queue, "the `QUEUE` that keeps the record")
	f.Var(&nTime, "n-time", "end it after so long (default: never)")
	return cmd
}

// recorded is one run of a command under a lease.
type recorded struct {
	app     *app
	queue   *holdfast.Queue[json.RawMessage]
	id      holdfast.ID
	command []string
	store   string // its name
	end     context.CancelFunc

	mu   sync.Mutex // of what the log gets
	tail supervise.Tail

	exit   supervise.Exit
	err    error
	begun  bool
	ended  holdfast.Finished
	report bool // ended is what the store answered
}

func (a *app) runHere(ctx context.Context, queue string, limit time.Duration, command []string) error {
	if err := holdfast.CheckQueueName(queue); err != nil {
		return err
	}
	path, err := supervise.Find(command[0])
	if err != nil {
		return &childExit{exitOwn, err}
	}
	store, err := a.storeForScripts()
	if err != nil {
		return err
	}
	s, err := a.making(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := notPaused(ctx, s, queue); err != nil {
		return err
	}
	supervise.Sweep()
	r := &recorded{app: a, queue: holdfast.NewQueue[json.RawMessage](s, queue), command: append([]string{path}, command[1:]...), store: store}
	if err := r.put(ctx); err != nil {
		return err
	}
	return r.run(ctx, limit)
}

// notPaused refuses to record what would not be given to us.
func notPaused(ctx context.Context, s holdfast.Store, queue string) error {
	counts, err := s.Counts(ctx)
	if err != nil {
		return err
	}
	for _, c := range counts {
		if c.Queue == queue && !c.PausedAt.IsZero() {
			return fmt.Errorf("queue %s is paused by %s; holdfast resume %s, or use --queue", queue, clean(c.PausedBy), queue)
		}
	}
	return nil
}

// put records the job. The command is not in it: whoever can put jobs could have anything run otherwise.
func (r *recorded) put(ctx context.Context) error {
	by, err := json.Marshal(map[string]string{"by": r.app.actor()})
	if err != nil {
		return err
	}
	r.id, err = r.queue.Put(context.WithoutCancel(ctx), by, holdfast.Priority(holdfast.MaxPriority), holdfast.MaxAttempts(1), holdfast.StartBy(time.Now().Add(runStartBy)))
	return err
}

// run takes the job, and no other, and runs the command for it.
func (r *recorded) run(ctx context.Context, limit time.Duration) error {
	waiting, end := context.WithCancel(ctx)
	defer end()
	r.end = end
	if limit == 0 {
		limit = holdfast.No
	}
	late := time.AfterFunc(runStartBy+time.Second, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.begun {
			end()
		}
	})
	defer late.Stop()
	err := holdfast.Consume(waiting, holdfast.Config{
		Concurrency: 1, Grace: holdfast.No, MaxRun: limit, MaxAttempts: 1, Logger: slog.New(slog.DiscardHandler),
		Finished: func(job holdfast.Info, f holdfast.Finished) {
			if job.ID == r.id {
				r.ended, r.report = f, true
			}
		},
	}, r.queue.Handle(r.handle))
	switch {
	case !r.begun && err == nil && ctx.Err() != nil:
		return errInterrupted
	case !r.begun && err == nil:
		return fmt.Errorf("job %v was not given to us within %v: has queue %s a consumer?", r.id, runStartBy, r.queue.Name())
	case !r.begun:
		return err
	case r.err != nil:
		return r.err
	}
	if err != nil || !r.report {
		r.app.say("how the command ended could not be recorded in job %v", r.id)
	}
	switch {
	case r.exit.Code > 0:
		return &childExit{code: r.exit.Code}
	case r.exit.Code < 0:
		return &childExit{code: signalCodes + r.exit.Number}
	}
	return nil
}

func (r *recorded) handle(ctx context.Context, job *holdfast.Job[json.RawMessage]) error {
	if job.ID != r.id {
		return holdfast.ReleaseAfter(100 * time.Millisecond) // another's, who is about to take it
	}
	r.mu.Lock()
	r.begun = true
	r.mu.Unlock()
	defer r.end()
	logged := make(chan struct{})
	running, stop := context.WithCancel(ctx)
	go func() {
		defer close(logged)
		for pause(running, time.Second) {
			r.hand(job.LogWriter(), "")
		}
	}()
	lease := holdfast.Lease{Job: job.ID, Fence: job.Fence()}
	signal.Ignore(syscall.SIGPIPE) // if nobody reads on, that is for the command to hear
	r.exit, r.err = supervise.Run(ctx, supervise.Command{
		Args: r.command, Stdin: r.stdin(),
		Env: append(os.Environ(), "HOLDFAST_JOB_ID="+job.ID.String(), "HOLDFAST_QUEUE="+job.Queue, "HOLDFAST_ATTEMPT="+strconv.Itoa(job.Attempt),
			"HOLDFAST_ATTEMPTS=1", "HOLDFAST_LEASE="+lease.String(), "HOLDFAST_FENCE="+strconv.FormatInt(lease.Fence, 10), "HOLDFAST_STORE="+r.store),
		Out: r.app.out, Err: r.app.talk,
		Line: func(l supervise.Line) {
			r.mu.Lock()
			defer r.mu.Unlock()
			_, _ = r.tail.Write(l.Text)
			_, _ = r.tail.Write([]byte("\n"))
		},
	})
	stop()
	<-logged
	r.hand(job.LogWriter(), fmt.Sprintf("[%v after %v]\n", &r.exit, r.exit.Took.Round(time.Millisecond)))
	switch {
	case r.err != nil:
		return holdfast.Permanent(r.err)
	case r.exit.Success():
		return nil
	case r.exit.LastErr != "":
		return holdfast.Permanent(fmt.Errorf("%v: %s", &r.exit, clean(r.exit.LastErr)))
	}
	return holdfast.Permanent(errors.New(r.exit.String()))
}

func (r *recorded) hand(log io.Writer, last string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = log.Write(append(r.tail.Take(), last...))
}

// stdin is ours, unless it is a terminal: the command is not the terminal's foreground, and would be stopped.
func (r *recorded) stdin() io.Reader {
	if r.app.asks {
		return nil
	}
	return r.app.in
}
