package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryCommandHasExamplesThatParse holds the help to what the commands accept.
func TestEveryCommandHasExamplesThatParse(t *testing.T) {
	root := func() *cobra.Command { return (&app{}).root() }
	commands := root().Commands()
	for _, cmd := range commands {
		commands = append(commands, cmd.Commands()...)
	}
	for _, cmd := range commands {
		if !cmd.Runnable() || cmd.Name() == "help" {
			continue
		}
		if cmd.Example == "" || cmd.Long == "" {
			t.Errorf("%s has no example or no description", cmd.Name())
		}
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			_, line, ok := strings.Cut(line, "holdfast ")
			if !ok {
				t.Errorf("%s: the example %q runs no holdfast", cmd.Name(), line)
				continue
			}
			found, rest, err := root().Find(words(line))
			if err == nil {
				err = found.ParseFlags(rest)
			}
			if err == nil {
				err = found.ValidateArgs(found.Flags().Args())
			}
			if err != nil || found.Name() != cmd.Name() && (!found.HasParent() || found.Parent().Name() != cmd.Name()) {
				t.Errorf("%s: the example %q does not parse as its own: %s, %v", cmd.Name(), line, found.Name(), err)
			}
		}
	}
}

// words splits a command as a shell does, up to a pipe or redirection, as far as examples need it.
func words(line string) []string {
	var out []string
	var word strings.Builder
	var quote rune
	in := false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case strings.ContainsRune("|)<>", r):
			if in {
				out = append(out, word.String())
			}
			return out
		case r == ' ':
			if in {
				out = append(out, word.String())
				word.Reset()
				in = false
			}
		default:
			in = true
			word.WriteRune(r)
		}
	}
	if in {
		out = append(out, word.String())
	}
	return out
}

func TestWordsThatAreNoCommandAreAnswered(t *testing.T) {
	p := newPerson(t)
	for word, meant := range map[string]string{"lst": "did you mean ls?", "retyr": "did you mean retry?", "enqueue": "did you mean put?", "ack": "did you mean done?", "xyzzy": "`holdfast help` lists all"} {
		p.fails(2, meant, word)
	}
	p.fails(2, `there is no help on "xyzzy"`, "help", "xyzzy")
	p.fails(2, "unknown flag: --jason; see holdfast ls --help", "ls", "--jason")
	p.fails(2, "unknown flag: --delay; did you mean --after?; see", "put", "q", "1", "--delay", "5m")
	p.fails(2, "did you mean --priority?", "put", "q", "1", "--prioritty=5")
	contains(t, p.ok("--version"), "holdfast ", "sqlite 3.")
	p.fails(2, "something is missing: holdfast show ID; see holdfast show --help", "show")
	p.fails(2, `"2" is too much`, "put", "q", "1", "2")
}

func TestHoldfastAloneSaysHowToBegin(t *testing.T) {
	if lines := strings.Split(newPerson(t).ok(), "\n"); len(lines) != 6 {
		t.Errorf("%d lines, want 6: %q", len(lines), lines)
	}
}
