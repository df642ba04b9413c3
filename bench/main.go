// Bench measures Holdfast, the plainest loops that do its work, and River, side by side on this machine.
//
//	go run . --quick          a table, in about a minute
//	go run . --quick --json   the same as rows for a program
//	go run . --only holdfast --measure lives --cpuprofile cpu.prof
//
// README.md says what is measured, how each system is set and how to read the figures.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"
)

// systems in the order in which a round measures them. Those at the end are measured only when --only names them.
var systems = []system{
	{"plainest", "sqlite", openPlainest},
	{"plainest_same_rows", "sqlite", openSameRows},
	{"river", "sqlite", openRiver},
	{"holdfast", "sqlite", openHoldfast},
	{"holdfast_store", "sqlite", openHoldfastStore},
	{"holdfast_memory", "memory", openMemory},
}

// extras is how many systems at the end are not peers but help to tell where time goes.
const extras = 2

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(1)
	}
}

func run(args []string, out, talk io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(talk)
	quick := flags.Bool("quick", false, "about a minute instead of about five")
	asJSON := flags.Bool("json", false, "one JSON row per line")
	only := flags.String("only", "", "systems, separated by commas (default: all but holdfast_store and holdfast_memory)")
	measure := flags.String("measure", "", "measures, separated by commas (default: all)")
	rounds := flags.Int("rounds", 0, "rounds over all systems; the median counts (default 5, quick 3)")
	length := flags.Duration("length", 0, "how long each measure puts jobs (default 2s, quick 400ms)")
	dir := flags.String("dir", ".", "databases go into a new folder in here, which is removed at the end")
	profile := flags.String("cpuprofile", "", "write a CPU profile of the whole run to this file")
	if err := flags.Parse(args); err != nil {
		return err
	}

	p := plan{rounds: 5, length: 2 * time.Second, measures: measures, talk: talk}
	if *quick {
		p.rounds, p.length = 3, 400*time.Millisecond
	}
	if *rounds > 0 {
		p.rounds = *rounds
	}
	if *length > 0 {
		p.length = *length
	}
	var err error
	p.systems = systems[:len(systems)-extras]
	if *only != "" {
		if p.systems, err = chosen("system", systems, *only, func(s system) string { return s.name }); err != nil {
			return err
		}
	}
	if p.measures, err = chosen("measure", measures, *measure, func(m string) string { return m }); err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if p.dir, err = os.MkdirTemp(*dir, "bench-run-"); err != nil {
		return err
	}
	defer os.RemoveAll(p.dir)
	if err := countSQLite(p.dir); err != nil {
		return err
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	results, err := p.run(ctx)
	if err != nil {
		return err
	}
	all := countsNow()
	fmt.Fprintf(talk, "in all %d commits, %d syncs\n", all.commits, all.syncs)
	if *asJSON {
		return writeJSON(out, results)
	}
	return writeTable(out, results)
}

// chosen gives those of all that the list names, in the order of all.
func chosen[T any](what string, all []T, list string, name func(T) string) ([]T, error) {
	if list == "" {
		return all, nil
	}
	names := strings.Split(list, ",")
	for _, n := range names {
		if !slices.ContainsFunc(all, func(v T) bool { return name(v) == n }) {
			var known []string
			for _, v := range all {
				known = append(known, name(v))
			}
			return nil, fmt.Errorf("no %s is called %q; there are %s", what, n, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(v T) bool { return !slices.Contains(names, name(v)) }), nil
}
