package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast/internal/pipeline"
)

func (a *app) serveCommand() *cobra.Command {
	var demo bool
	cmd := &cobra.Command{
		Use:        "serve --demo",
		Short:      "make files, turn them into new ones, watch it happen",
		SuggestFor: []string{"start", "work", "worker", "server", "demo", "consume"},
		Long: `Runs a producer, a consumer, manager and cleaner, each in a loop of its own, and says what happens. The producer writes
small files to ./demo/in and puts a job for each; the consumer turns each into a new file in ./demo/out. Some fail on
purpose: after their last attempt their file is named *.failed. Nothing else is written but ./holdfast.db and what lies
beside it. Ctrl-C once finishes what runs, twice ends at once; started again, it goes on where it ended.

In this version serve has only the demo.`,
		Example: `  holdfast serve --demo
  holdfast serve --demo --store ./try.db`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !demo {
				return usagef("serve has only --demo in this version: holdfast serve --demo")
			}
			return a.serveDemo(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&demo, "demo", false, "with a producer and a consumer of files in ./demo")
	return cmd
}

func (a *app) serveDemo(ctx context.Context) error {
	s, err := a.making(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	a.stopping.Store(new(finishing))
	c := pipeline.DemoConfig{Out: a.out}
	if name, _, err := a.storeName(); err == nil && name != defaultStore {
		c.Store = name
	}
	return pipeline.Demo(ctx, s, c)
}

// finishing is what a loop says when it is told to end.
const finishing = "finishing what runs; press Ctrl-C again to end now"
