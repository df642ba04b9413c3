// Package cli is the command holdfast: one file for each noun that a person types. Results go to stdout, talk goes to
// stderr, and every way to end has its exit code (exit.go).
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/config"
	"github.com/holdfastq/holdfast/internal/supervise"
)

// app is one run of the command: what it was given, and where it writes.
type app struct {
	in   io.Reader
	out  io.Writer // results
	talk io.Writer // everything else that is said
	env  func(string) string
	open opener

	environ []string // as of os.Environ

	asks   bool // a person is there to answer: stdin is a terminal
	screen bool // out is a terminal
	color  bool

	stopping atomic.Pointer[string] // what to say when the person asks to end

	storeFlag, configFlag string
	settings              *config.Config // see config

	listed []*cobra.Command // in the order of the help
}

// Main runs the command that the process was started with and gives its exit code.
func Main() int {
	supervise.Shim() // this process may be one
	a := &app{
		in: os.Stdin, out: os.Stdout, talk: os.Stderr, env: os.Getenv, environ: os.Environ(), open: openStore,
		asks: isTerminal(os.Stdin), screen: isTerminal(os.Stdout),
	}
	a.color = a.screen && a.env("NO_COLOR") == "" && a.env("TERM") != "dumb"
	ctx, stop := a.untilTold(context.Background())
	defer stop()
	return a.run(ctx, os.Args[1:])
}

func isTerminal(f *os.File) bool { return isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd()) }

// run executes one command line and gives its exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && context.Cause(ctx) == errInterrupted && exitCode(err) == exitFailed {
		err = errInterrupted
	}
	if mistakes := mistakesText(err); mistakes != "" {
		fmt.Fprintln(a.talk, mistakes)
	} else if text := errorText(err); text != "" {
		fmt.Fprintf(a.talk, "holdfast: %s\n", text)
	}
	return exitCode(err)
}

// untilTold gives a context that ends with the first Ctrl-C or TERM. The second one ends the process at once, as if
// nobody listened.
func (a *app) untilTold(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		select {
		case <-told:
			signal.Stop(told)
			if text := a.stopping.Load(); text != nil {
				a.say("%s", *text)
			}
			cancel(errInterrupted)
		case <-ended:
		}
	}()
	return ctx, func() {
		signal.Stop(told)
		close(ended)
		cancel(nil)
	}
}

// say writes one line of talk.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.talk, "holdfast: "+format+"\n", args...)
}

// print writes one line of results.
func (a *app) print(format string, args ...any) error {
	_, err := fmt.Fprintf(a.out, format+"\n", args...)
	return err
}

// actor says who acts, for Activity: user@host.
func (a *app) actor() string {
	name := a.env("USER")
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if name == "" {
		name = "unknown"
	}
	return name + "@" + host()
}

func host() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "unknown"
	}
	return name
}

// operator is the store's, in the name of who acts.
func (a *app) operator(s holdfast.Store) *holdfast.Operator {
	return holdfast.NewOperator(s, a.actor()).Via("command")
}

// pause waits, or ends early with the context: then it gives false.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
