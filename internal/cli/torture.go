package cli

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/torture"
)

// tortureChild is the hidden command by which torture starts itself again.
const tortureChild = "torture-child"

func (a *app) tortureCommand() *cobra.Command {
	var asJSON bool
	var seed uint64
	var folder string
	length := duration(30 * time.Second)
	cmd := &cobra.Command{
		Use:   "torture",
		Short: "kill and freeze processes at work, and count what is lost",
		Long: `Makes a store of its own in a folder for temporary files, starts producers, consumers and a manager, and kills and
freezes them at random moments; every process writes down what it was told. At the end the records are compared with the
store: what was acknowledged must be there once, done once, and no job may have run twice unless something was done to
the process that held it. The folder is removed if all is well, else kept.

The same --seed and --for do the same to the same processes at the same moments.

put          jobs whose put was acknowledged          lost        of them, not there
redelivered  runs that did not end in an outcome      unexpected  there, but never put
unexplained  given on without a fault of the holder   duplicated  with two outcomes

power_cuts is null: nobody cuts the power here. The project's own tests do.`,
		Example: `  holdfast torture
  holdfast torture --seed 7 --for 2m --json`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("seed") {
				seed = rand.Uint64N(1_000_000)
			}
			return a.torture(cmd.Context(), torture.Config{Seed: seed, For: time.Duration(length), Dir: folder}, asJSON)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.Uint64Var(&seed, "seed", 0, "the `NUMBER` from which all faults come (default: any, and said)")
	fs.Var(&length, "for", "how long faults go on")
	fs.StringVar(&folder, "dir", "", "where the store is made: a `FOLDER` on the disk to be tried (default the system's)")
	fs.BoolVar(&asJSON, "json", false, "one JSON document")
	return cmd
}

// tortureChildCommand is what torture starts; nobody types it.
func (a *app) tortureChildCommand() *cobra.Command {
	return &cobra.Command{
		Use:     tortureChild + " ERRAND",
		Short:   "a part of torture",
		Long:    `A producer, consumer or manager of holdfast torture, which starts it.`,
		Example: `  holdfast torture-child '{}'`,
		Hidden:  true,
		Args:    arguments(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if code := torture.Child(args, a.tortureStore); code != 0 {
				return told{errTorture}
			}
			return nil
		},
	}
}

var errTorture = fmt.Errorf("the store did not keep its promises")

// tortureStore opens the store that torture made, and makes it first.
func (a *app) tortureStore(ctx context.Context, file string) (holdfast.Store, error) {
	s, _, err := a.open(ctx, file, true)
	return s, err
}

func (a *app) torture(ctx context.Context, c torture.Config, asJSON bool) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	c.Command = []string{program, tortureChild}
	c.Open = a.tortureStore
	c.Say = a.say
	r, err := torture.Run(ctx, c)
	if err != nil {
		return err
	}
	if asJSON {
		err = a.one(r)
	} else {
		err = a.tortureTable(&r)
	}
	if err != nil || !r.Failed() {
		return err
	}
	for _, text := range r.Wrong {
		a.say("%s", clean(text))
	}
	a.say("kept %s; the same again: holdfast torture --seed %d --for %s", clean(r.Kept), r.Seed, (*duration)(&c.For))
	return told{errTorture}
}

func (a *app) tortureTable(r *torture.Report) error {
	t := &table{head: []string{"what", ">count"}}
	for _, line := range []struct {
		what  string
		count int
	}{
		{"kills", r.Kills}, {"pauses", r.Pauses}, {"put", r.Put}, {"done", r.Done}, {"lost", r.Lost}, {"unexpected", r.Unexpected},
		{"duplicated", r.Duplicated}, {"redelivered", r.Redelivered}, {"unexplained", r.Unexplained}, {"stuck", r.Stuck},
	} {
		t.add(line.what, fmt.Sprint(line.count))
	}
	if err := t.write(a.out, a.color); err != nil {
		return err
	}
	verdict := "nothing lost, nothing done twice, every second run explained"
	if r.Failed() {
		verdict = "the store did not keep its promises"
	}
	return a.print("seed %d, %s: %s", r.Seed, span(time.Duration(r.Seconds*float64(time.Second))), verdict)
}
