package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/holdfastq/holdfast/docs"
)

// Groups of commands, in the order in which the help lists them.
var groups = []cobra.Group{
	{ID: "make", Title: "MAKE"},
	{ID: "take", Title: "TAKE"},
	{ID: "see", Title: "SEE"},
	{ID: "mend", Title: "MEND"},
	{ID: "house", Title: "HOUSE"},
	{ID: "setup", Title: "SET UP"},
}

// root is the whole command, assembled anew for each run.
func (a *app) root() *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:           "holdfast",
		Short:         "a durable job queue that you can see",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          func(cmd *cobra.Command, args []string) error { return a.noSuchCommand(cmd, args) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return a.version(cmd.Context(), format{})
			}
			return a.begin()
		},

		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return flagGroups(cmd) },
	}
	root.PersistentFlags().StringVar(&a.storeFlag, "store", "", "the store's `FILE` (default ./holdfast.db, or HOLDFAST_STORE)")
	root.PersistentFlags().StringVar(&a.configFlag, "config", "", "the config `FILE` (default ./holdfast.yaml, if it is there)")
	root.Flags().BoolVarP(&version, "version", "v", false, "the version, and nothing else")
	root.SetOut(a.out)
	root.SetErr(a.talk)
	root.SetIn(a.in)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return flagError(cmd, err) })
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { a.help(cmd) })
	root.SetHelpCommand(a.helpCommand())
	root.CompletionOptions.HiddenDefaultCmd = true
	for i := range groups {
		root.AddGroup(&groups[i])
	}
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			c.DisableFlagsInUseLine = true
			root.AddCommand(c)
			a.listed = append(a.listed, c)
		}
	}
	add("make", a.putCommand(), a.runCommand())
	add("take", a.getCommand(), a.doneCommand(), a.failCommand(), a.releaseCommand(), a.extendCommand(), a.consumeCommand())
	add("see", a.lsCommand(), a.showCommand(), a.queuesCommand(), a.statsCommand(), a.activityCommand())
	add("mend", a.amendCommands()...)
	add("mend", a.pauseCommand(), a.resumeCommand())
	add("house", a.serveCommand(), a.managerCommand(), a.cleanerCommand(), a.versionCommand())
	add("setup", a.configCommand(), a.tortureCommand())
	root.AddCommand(a.tortureChildCommand())
	root.AddCommand(scriptTopic(), exitCodesTopic(), wordsTopic(), jsonTopic())
	return root
}

// begin is `holdfast` alone: how to begin.
func (a *app) begin() error {
	return a.print(`holdfast: a durable job queue that you can see
  holdfast put greet '{"name":"Ada"}'     put a job; makes ./holdfast.db the first time
  holdfast get greet                      take it: prints its lease and its data
  holdfast done LEASE                     it is finished (or: holdfast fail LEASE)
  holdfast ls                             what became of it
  holdfast help                           all commands, each with examples`)
}

// noSuchCommand answers a word that is no command.
func (a *app) noSuchCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usagef("there is no command %s; %s", quote(args[0]), meantTo(root, args[0]))
}

// meantTo suggests commands for a word that is none.
func meantTo(root *cobra.Command, word string) string {
	root.SuggestionsMinimumDistance = 2
	if len(word) < 5 {
		root.SuggestionsMinimumDistance = 1 // nearly every short word is two letters from another
	}
	names := root.SuggestionsFor(word)
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 || len(names) > 3 {
		return "`holdfast help` lists all"
	}
	return "did you mean " + strings.Join(names, " or ") + "? `holdfast help` lists all"
}

// flagError adds to a complaint about a flag where to look.
func flagError(cmd *cobra.Command, err error) error {
	text := clean(err.Error())
	if _, name, is := strings.Cut(text, "unknown flag: --"); is {
		text += flagMeant(cmd, name)
	}
	return usagef("%s; see %s --help", text, cmd.CommandPath())
}

// flagSynonyms are what other systems call our flags.
var flagSynonyms = map[string][]string{
	"delay": {"after"}, "in": {"after"}, "when": {"at"}, "deadline": {"start-by"}, "expires": {"start-by"},
	"key": {"unique"}, "unique-key": {"unique"}, "dedupe": {"unique"}, "prio": {"priority"},
	"retries": {"max-attempts", "n-tries"}, "attempts": {"max-attempts", "n-tries"}, "tries": {"max-attempts", "n-tries"}, "max-tries": {"max-attempts", "n-tries"},
	"timeout": {"wait", "max-run", "n-time"}, "ttl": {"lease"}, "reason": {"cause"}, "error": {"cause"}, "message": {"cause"}, "permanent": {"final"},
	"data": {"text", "result"}, "status": {"state"}, "format": {"output", "json"}, "count": {"limit"}, "n": {"limit"}, "workers": {"concurrency"},
	"force": {"yes"}, "db": {"store"}, "database": {"store"}, "file": {"store"}, "interval": {"every"},
}

// flagMeant says which flag of the command an unknown one may stand for, as the end of a message.
func flagMeant(cmd *cobra.Command, name string) string {
	name, _, _ = strings.Cut(name, "=")
	for _, word := range flagSynonyms[name] {
		if cmd.Flags().Lookup(word) != nil || cmd.InheritedFlags().Lookup(word) != nil {
			return "; did you mean --" + word + "?"
		}
	}
	// The commands' own suggestions know what is near: flags take part in them as commands of nobody.
	flags := &cobra.Command{SuggestionsMinimumDistance: 2}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		flags.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	})
	if near := flags.SuggestionsFor(name); len(near) == 1 {
		return "; did you mean --" + near[0] + "?"
	}
	return ""
}

// flagGroups refuses flags that exclude each other.
func flagGroups(cmd *cobra.Command) error {
	err := cmd.ValidateFlagGroups()
	if err == nil {
		return nil
	}
	text := err.Error() // ends with: [after at] were all set
	names := strings.Fields(strings.Trim(text[strings.LastIndex(text, "[")+1:strings.LastIndex(text, "]")], "[]"))
	return usagef("--%s exclude each other; see %s --help", strings.Join(names, " and --"), cmd.CommandPath())
}

// quote shows foreign text in a message.
func quote(s string) string { return `"` + brief(s, 64) + `"` }

// arguments checks the number of arguments, with the command's own usage in the complaint. most < 0: any number.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		usage := strings.TrimPrefix(cmd.UseLine(), "holdfast ")
		switch {
		case len(args) < least:
			return usagef("something is missing: holdfast %s; see %s --help", usage, cmd.CommandPath())
		case most >= 0 && len(args) > most:
			return usagef("%s is too much: holdfast %s; see %s --help", quote(args[most]), usage, cmd.CommandPath())
		}
		return nil
	}
}

// helpCommand is `holdfast help [COMMAND or topic]`.
func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND|TOPIC]",
		Short: "this, or more about one command",
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			about, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 || about == root && len(args) > 0 {
				return usagef("there is no help on %s; %s", quote(strings.Join(args, " ")), meantTo(root, args[0]))
			}
			a.help(about)
			return nil
		},
	}
}

func (a *app) help(cmd *cobra.Command) {
	if cmd.HasParent() {
		helpOf(a.out, cmd)
		return
	}
	fmt.Fprintf(a.out, "holdfast: %s\n\n", cmd.Short)
	for _, g := range groups {
		fmt.Fprintln(a.out, g.Title)
		for _, c := range a.listed {
			if c.GroupID == g.ID {
				fmt.Fprintf(a.out, "  %-24s  %s\n", c.Use, c.Short)
			}
		}
	}
	fmt.Fprintln(a.out, "\nHELP")
	fmt.Fprintf(a.out, "  %-24s  %s\n", "help COMMAND", "what it does, with examples and flags")
	for _, c := range cmd.Commands() {
		if c.IsAdditionalHelpTopicCommand() {
			fmt.Fprintf(a.out, "  %-24s  %s\n", "help "+c.Name(), c.Short)
		}
	}
	fmt.Fprintf(a.out, "  %-24s  %s\n", "completion SHELL", "completion for bash, zsh, fish or powershell")
	fmt.Fprintf(a.out, "\nEverywhere: --store FILE (default ./holdfast.db, or HOLDFAST_STORE), --config FILE (default ./holdfast.yaml, if it is\nthere). Results go to stdout, talk to stderr.\n")
}

var helpText = template.Must(template.New("help").Parse(`{{if .Usage}}holdfast {{.Usage}}

{{end}}{{.Long}}
{{with .Examples}}
Examples:
{{.}}
{{end}}{{with .Flags}}
Flags:
{{.}}{{end}}`))

func helpOf(w io.Writer, cmd *cobra.Command) {
	usage := strings.TrimPrefix(cmd.UseLine(), "holdfast ")
	if cmd.IsAdditionalHelpTopicCommand() {
		usage = ""
	}
	long := cmd.Long
	if long == "" {
		long = cmd.Short
	}
	var flags string
	if cmd.Runnable() {
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		set.SortFlags = false
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" {
				set.AddFlag(f)
			}
		})
		set.AddFlagSet(cmd.InheritedFlags())
		flags = set.FlagUsages()
	}
	// The template is ours and so are its fields: it cannot fail but for w.
	_ = helpText.Execute(w, struct{ Usage, Long, Examples, Flags string }{usage, strings.TrimRight(long, "\n"), cmd.Example, flags})
}

// topic is a page of help that is no command.
func topic(name, short, text string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Long: text}
}

func scriptTopic() *cobra.Command {
	return topic("script", "how a script in any language consumes jobs", docs.Scripts)
}

func wordsTopic() *cobra.Command {
	return topic("words", "the words for jobs, and what the signs mean", `Job        one piece of work, with data that says what to do
Queue      where jobs of one type wait
Consumer   who takes jobs and processes them
Lease      the right to report on one delivery of a job; it ends at a time
Fence      the number of the delivery: up by one each time, never down
Attempt    one delivery, as people count it
Manager    gives the jobs of dead consumers to others
Cleaner    removes ended jobs that were kept for their time

  ○ waiting    may be taken now
  ◔ scheduled  may be taken from a time on
  ↻ retry      scheduled, because an attempt failed
  ◐ running    a consumer holds its lease
  ● done       processed
  ✕ failed     out of attempts, or failed for good; kept until somebody retries or deletes it
  ⊘ cancelled  somebody, or its start-by time, stopped it

Why (in JSON; show says it in a sentence):

  retry, released, swept, reopened, run now   it waits: an attempt failed, it was given back, its consumer died or its lease
                                              ended, a person retried it, a person made it due
  exhausted, permanent, crashes, abandoned    it failed: out of attempts, for good, it kept killing its consumer, it was
                                              taken with get and its lease ended too often
  requested, too late                         it was cancelled: somebody asked, not started by its start-by time`)
}
