package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/config"
)

// config is what was set for this run: by flags, the environment and the file, in this order. It is read once; the flags
// are those besides --store that stand for keys.
func (a *app) config(flags ...config.Flag) (*config.Config, error) {
	if a.settings != nil {
		return a.settings, nil
	}
	if a.storeFlag != "" {
		flags = append(flags, config.Flag{Key: "store", Name: "--store", Value: a.storeFlag})
	}
	c, err := config.Load(config.Sources{File: a.configFlag, Environ: a.environ, Flags: flags})
	if err != nil {
		return nil, err
	}
	a.settings = c
	return c, nil
}

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:        "config init|show|check|schema",
		Short:      "the config file: make it, see what is in force, check it",
		SuggestFor: []string{"settings", "configure", "conf", "init", "setup"},
		Long: `What can be set stands in holdfast.yaml, which is found by itself in the current folder; any other by --config FILE.
Everything has a default, and no file is needed. A flag wins over the environment (HOLDFAST_CONSUMER_N_TIME=60 and the
like), that over the file, that over the default.

  config init      write a file with every key, its default and a comment
  config show      every value in force, and where it came from
  config check     what is wrong with a file, with line and column
  config schema    a JSON Schema, with which editors complete and check`,
		Example: `  holdfast config init
  holdfast config show
  holdfast config check`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no command config %s; %s", quote(args[0]), meantTo(cmd, args[0]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.help(cmd)
			return nil
		},
	}
	for _, c := range []*cobra.Command{a.configInitCommand(), a.configShowCommand(), a.configCheckCommand(), a.configSchemaCommand()} {
		c.DisableFlagsInUseLine = true
		cmd.AddCommand(c)
	}
	return cmd
}

func (a *app) configInitCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "init",
		Short:      "write a file with every key, its default and a comment",
		SuggestFor: []string{"new", "create", "make"},
		Long: `Writes holdfast.yaml, or the file that --config names, with every key, its default and a comment. A file that is there
is never changed: exit code 7.`,
		Example: `  holdfast config init
  holdfast config init --config /etc/holdfast/holdfast.yaml`,
		Args: arguments(0, 0),
		RunE: func(*cobra.Command, []string) error { return a.configInit() },
	}
}

func (a *app) configInit() error {
	name := a.configFile()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return &remedy{holdfast.ErrConflict, fmt.Sprintf("%s is there already and stays as it is; holdfast config check looks at it", clean(name))}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(config.Template())
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		os.Remove(name) // half a file would be taken for a whole one
		return err
	}
	a.say("made %s: every key with its default; change what you like", clean(name))
	return nil
}

// configFile is the file that --config names, or that is found by itself.
func (a *app) configFile() string {
	if a.configFlag != "" {
		return a.configFlag
	}
	return config.DefaultFile
}

// valueView is one setting.
type valueView struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
	From  string `json:"from"` // default, file, env or flag
	File  string `json:"file,omitempty"`
	Line  int    `json:"line,omitempty"`
	Env   string `json:"env,omitempty"`
	Flag  string `json:"flag,omitempty"`
}

func (a *app) configShowCommand() *cobra.Command {
	var f format
	cmd := &cobra.Command{
		Use:        "show",
		Short:      "every value in force, and where it came from",
		SuggestFor: []string{"ls", "list", "get", "print", "dump"},
		Long: `Shows every value that is in force here and now, and where it came from: default, FILE:LINE, env NAME or flag --NAME.
What a worker or a queue does not say itself comes from where its section's value came from. Passwords are not shown.`,
		Example: `  holdfast config show
  HOLDFAST_CONSUMER_N_TIME=60 holdfast config show --json`,
		Args: arguments(0, 0),
		RunE: func(*cobra.Command, []string) error { return a.configShow(f) },
	}
	f.flags(cmd)
	return cmd
}

func (a *app) configShow(f format) error {
	c, err := a.config()
	if err != nil {
		return err
	}
	if f.machine() {
		var views []valueView
		for _, v := range c.Values() {
			o := v.Origin
			view := valueView{Key: v.Key, Value: v.JSON, From: "default", File: o.File, Line: o.Line, Env: o.Env, Flag: o.Flag}
			switch {
			case o.Flag != "":
				view.From = "flag"
			case o.Env != "":
				view.From = "env"
			case o.File != "":
				view.From = "file"
			}
			views = append(views, view)
		}
		return list(a, f, "values", views)
	}
	t := &table{head: []string{"key", "value", "from"}}
	for _, v := range c.Values() {
		value := v.Text
		if value == "" {
			value = `""`
		}
		t.add(clean(v.Key), brief(value, 80), clean(v.Origin.String()))
	}
	return t.write(a.out, a.color)
}

func (a *app) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "check [FILE]",
		Short:      "what is wrong with a file, with line and column",
		SuggestFor: []string{"validate", "lint", "test", "verify"},
		Long: `Checks a config file, by default the one that would be read here, and the HOLDFAST_ variables of the environment. All
mistakes that can be found in one look are told, each with its line, a caret and what was probably meant: exit code 2.`,
		Example: `  holdfast config check
  holdfast config check /etc/holdfast/holdfast.yaml`,
		Args: arguments(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				if a.configFlag != "" && a.configFlag != args[0] {
					return usagef("which one, %s or %s? Name one file", quote(a.configFlag), quote(args[0]))
				}
				a.configFlag = args[0]
			}
			return a.configCheck()
		},
	}
}

func (a *app) configCheck() error {
	c, err := a.config()
	if err != nil {
		return err
	}
	if c.File() != "" {
		return a.print("%s is right", clean(c.File()))
	}
	if _, err := os.Stat("holdfast.yml"); err == nil {
		a.say("holdfast.yml is not read by itself: name it %s, or use --config holdfast.yml", config.DefaultFile)
	}
	return a.print("there is no ./%s: every value that the environment does not set is its default", config.DefaultFile)
}

func (a *app) configSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "a JSON Schema, with which editors complete and check",
		Long: `Prints a JSON Schema of the config file. Editors with the YAML language server use it when the first line of the file is
  # yaml-language-server: $schema=holdfast.schema.json`,
		Example: `  holdfast config schema > holdfast.schema.json`,
		Args:    arguments(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(config.Schema())
			return err
		},
	}
}
