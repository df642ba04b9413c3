package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast/internal/pipeline"
)

func (a *app) serveCommand() *cobra.Command {
	var demo bool
	c := pipeline.DemoConfig{Every: time.Second, Pace: [2]time.Duration{200 * time.Millisecond, 800 * time.Millisecond}}
	every, pace := duration(c.Every), between(c.Pace)
	cmd := &cobra.Command{
		Use:        "serve --demo",
		Short:      "make files, turn them into new ones, watch it happen",
		SuggestFor: []string{"start", "work", "worker", "server", "demo", "consume"},
		Long: `Runs a producer, a consumer, manager and cleaner, each in a loop of its own, and says what happens. The producer writes
small files to ./demo/in and puts a job for each; the consumer turns each into a new file in ./demo/out. Some fail on
purpose: after their last attempt their file is named *.failed. Nothing else is written but ./holdfast.db and what lies
beside it. The queue is called files. Ctrl-C once finishes what runs, twice ends at once; started again, it goes on where
it ended. As slowly as a real consumer: --every 5s --pace 7s..15s; then more is made than one consumer can take.

In this version serve has only the demo.`,
		Example: `  holdfast serve --demo
  holdfast serve --demo --every 5s --pace 7s..15s
  holdfast serve --demo --store ./try.db`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !demo {
				return usagef("serve has only --demo in this version: holdfast serve --demo")
			}
			if every <= 0 {
				return usagef("--every must be longer than nothing")
			}
			c.Every, c.Pace = time.Duration(every), pace
			return a.serveDemo(cmd.Context(), c)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&demo, "demo", false, "with a producer and a consumer of files in ./demo")
	cmd.Flags().Var(&every, "every", "pause between two files")
	cmd.Flags().Var(&pace, "pace", "the consumer's pause after each; 7s..15s: a random one")
	return cmd
}

func (a *app) serveDemo(ctx context.Context, c pipeline.DemoConfig) error {
	s, err := a.making(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	a.stopping.Store(new(finishing))
	c.Out, c.Command = a.out, startedAs(os.Args[0])
	if name, _, err := a.storeName(); err == nil && name != defaultStore {
		c.Store = name
	}
	return pipeline.Demo(ctx, s, c)
}

// startedAs is how a person starts the command once more: a binary that go run has built is gone by then.
func startedAs(program string) string {
	if !strings.Contains(filepath.ToSlash(program), "/go-build") {
		return program
	}
	if _, err := os.Stat("cmd/holdfast/main.go"); err == nil {
		return "go run ./cmd/holdfast"
	}
	return "go run github.com/holdfastq/holdfast/cmd/holdfast"
}

// finishing is what a loop says when it is told to end.
const finishing = "finishing what runs; press Ctrl-C again to end now"
