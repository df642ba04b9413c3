package cli

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/config"
	"github.com/holdfastq/holdfast/internal/pipeline"
)

// consume is what `holdfast consume` was asked for, besides what the config has too.
type consume struct {
	then, dir string
	env       []string
}

// consumeFlags are the flags that stand for keys of the config, and win over it.
var consumeFlags = []struct{ name, value, usage string }{
	{"concurrency", "N", "jobs at once (default 1)"},
	{"n-time", "duration", "longest time for one attempt; a job's own wins (default 1h)"},
	{"n-tries", "N", "attempts before a job is failed; a job's own wins (default 3)"},
	{"lease", "duration", "if we are silent for so long, others get our jobs (default 30s)"},
	{"grace", "duration", "on Ctrl-C, time for what runs to finish (default 25s)"},
	{"pace", "duration", "pause after each job; 7s..15s: a random one"},
}

func (a *app) consumeCommand() *cobra.Command {
	var c consume
	cmd := &cobra.Command{
		Use:        "consume QUEUE -- COMMAND…",
		Short:      "a consumer in this terminal: the command runs once per job",
		SuggestFor: []string{"worker", "work", "process", "listen", "subscribe"},
		Long: `Takes jobs of a queue until Ctrl-C and runs the command once for each, without a shell. {in} in its arguments stands for
the job's file, if its data has a "path" inside this folder, else for a file with its data; {out} for a file to write,
which appears in --dir when it is whole. The data is also on stdin, and the job's id, attempt, lease and fence in the
environment. Exit code 0 is done, 65 failed for good, 75 again later, any other a failed attempt, for which the last line
of stderr is the reason. More: holdfast help script.

A command that takes too long, or whose job is cancelled, gets TERM, and 4 s later KILL, with all that it has started.
Ctrl-C once lets those that run finish within --grace, twice ends at once; either way nothing is left behind.`,
		Example: `  holdfast consume greet -- ./greet.sh
  holdfast consume scans --dir text --then index -- python3 ocr.py {in} {out}
  holdfast consume mail --concurrency 4 --n-time 1m --pace 1s..3s --env SMTP_PASSWORD -- ./send`,
		Args: arguments(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var flags []config.Flag
			for _, f := range consumeFlags {
				if given := cmd.Flags().Lookup(f.name); given.Changed {
					flags = append(flags, config.Flag{Key: "consumer." + strings.ReplaceAll(f.name, "-", "_"), Name: "--" + f.name, Value: given.Value.String()})
				}
			}
			if _, err := a.config(flags...); err != nil {
				return err
			}
			return a.consume(cmd.Context(), &c, args[0], args[1:])
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	for _, flag := range consumeFlags {
		f.String(flag.name, "", "`"+flag.value+"`: "+flag.usage)
	}
	f.StringVar(&c.then, "then", "", "a `QUEUE` that gets a job for each that is done, with its output")
	f.StringVar(&c.dir, "dir", "", "`FOLDER` for outputs, inside this one (default out, if the command has {out})")
	f.StringArrayVar(&c.env, "env", nil, "a variable's `NAME` that the command may see, besides PATH, HOME and LANG")
	return cmd
}

func (a *app) consume(ctx context.Context, c *consume, queue string, command []string) error {
	if err := holdfast.CheckQueueName(queue); err != nil {
		return err
	}
	store, err := a.storeForScripts()
	if err != nil {
		return err
	}
	folder, err := pipeline.OpenFolder(a.settings.General.PrimaryPath, a.settings.General.Machine)
	if err != nil {
		return err
	}
	defer folder.Close()
	s, err := a.existing(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	a.stopping.Store(new(finishing))
	a.say("consuming %s with %s; Ctrl-C ends it", queue, quote(command[0]))
	config := pipeline.CommandConfig{
		Queue: queue, Command: command, Then: c.then, Env: c.env, Store: store, Talk: a.out,
		Engine: a.settings.Engine(a.settings.Consumer),
	}
	if c.dir != "" {
		config.Out = filepath.ToSlash(filepath.Clean(c.dir))
	}
	return pipeline.Command(ctx, s, folder, config)
}

// storeForScripts is the store's name as a script needs it, wherever it runs.
func (a *app) storeForScripts() (string, error) {
	name, _, err := a.storeName()
	if err != nil || strings.Contains(name, "://") {
		return name, err
	}
	return filepath.Abs(name)
}
