//go:build unix

package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestExitCodesAndSignals(t *testing.T) {
	for script, want := range map[string]string{
		"exit 0":         "exit 0",
		"exit 65":        "exit 65",
		"exit 255":       "exit 255",
		"kill -KILL $$":  "ended by SIGKILL",
		"kill -SEGV $$":  "ended by SIGSEGV",
		"exec sleep 0":   "exit 0",
		"exec /nowhere":  "exit 127",
		"kill -TERM $$;": "ended by SIGTERM",
	} {
		exit, _ := sh(t, t.Context(), script, nil)
		if exit.String() != want || exit.Told || exit.Killed || exit.Strays || exit.Left != 0 {
			t.Errorf("%s: got %+v, want %s", script, exit, want)
		}
		if exit.Success() != (want == "exit 0") {
			t.Errorf("%s: success %v", script, exit.Success())
		}
	}
}

func TestAChildThatCannotStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(file, []byte("#!/nowhere/at/all\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, run := range map[string]func() (Exit, error){
		"no command":        func() (Exit, error) { return Run(t.Context(), Command{}) },
		"no such program":   func() (Exit, error) { return Run(t.Context(), Command{Args: []string{"no-such-program"}}) },
		"no interpreter":    func() (Exit, error) { return Run(t.Context(), Command{Args: []string{file}}) },
		"no such folder":    func() (Exit, error) { return Run(t.Context(), Command{Args: []string{"true"}, Dir: file + "/x"}) },
		"a zero byte":       func() (Exit, error) { return Run(t.Context(), Command{Args: []string{"echo", "a\x00b"}}) },
		"context was ended": func() (Exit, error) { return Run(over, Command{Args: []string{"true"}}) },
	} {
		if _, err := run(); !errors.Is(err, ErrNotStarted) {
			t.Errorf("%s: got %v, want ErrNotStarted", name, err)
		}
	}
}

func TestArgumentsAreNoShell(t *testing.T) {
	want := []string{"-n", "$HOME; `id` * ' \"", "a\nb", "ü", ""}
	var got []string
	_, err := Run(t.Context(), Command{
		Args: append([]string{"sh", "-c", `for a; do printf '%s|' "$a"; done; echo`, "sh"}, want...), Env: Environment(nil),
		Line: func(l Line) { got = append(got, string(l.Text)) },
	})
	if all := strings.Join(want, "|") + "|"; err != nil || strings.Join(got, "\n") != all {
		t.Errorf("got %q, %v, want %q", got, err, all)
	}
}

func TestEnvironmentIsAnAllowList(t *testing.T) {
	t.Setenv("LANG", "C")
	t.Setenv("SECRET", "1")
	t.Setenv("WANTED", "two words")
	t.Setenv("HOME", "/nowhere")
	got := Environment([]string{"WANTED", "MISSING", "PATH"}, "HOLDFAST_QUEUE=q", "HOME=/given")
	want := []string{"PATH=" + os.Getenv("PATH"), "LANG=C", "WANTED=two words", "HOLDFAST_QUEUE=q", "HOME=/given"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	_, lines := sh(t, t.Context(), "env", func(c *Command) { c.Env = got })
	for _, l := range lines {
		name, _, _ := strings.Cut(l, "=")
		if !slices.Contains([]string{"PATH", "LANG", "WANTED", "HOLDFAST_QUEUE", "HOME", "PWD", "_", "SHLVL", "OLDPWD", markerVar}, name) {
			t.Errorf("the child has %s", l)
		}
	}
}

func TestStdin(t *testing.T) {
	exit, lines := sh(t, t.Context(), "cat", func(c *Command) { c.Stdin = strings.NewReader("one\ntwo") })
	if !exit.Success() || !slices.Equal(lines, []string{"one", "two"}) {
		t.Errorf("got %q, %+v", lines, exit)
	}
	exit, _ = sh(t, t.Context(), "exit 3", func(c *Command) { c.Stdin = bytes.NewReader(make([]byte, 10<<20)) })
	if exit.Code != 3 {
		t.Errorf("input that nobody reads: got %+v", exit)
	}
	if exit, lines = sh(t, t.Context(), "cat", nil); !exit.Success() || len(lines) != 0 {
		t.Errorf("no input: got %q, %+v", lines, exit)
	}
}

func TestTheLastLineOfStderrIsKept(t *testing.T) {
	exit, _ := sh(t, t.Context(), "echo out; echo 'no such customer' >&2; echo ' ' >&2; echo late; exit 1", nil)
	if exit.LastErr != "no such customer" {
		t.Errorf("got %q", exit.LastErr)
	}
}

func TestTermIsHeard(t *testing.T) {
	ctx, change := untilSaid(t, "ready")
	exit, _ := sh(t, ctx, "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done", change)
	if exit.Code != 7 || !exit.Told || exit.Killed || !strings.Contains(string(exit.Tail), "bye") {
		t.Errorf("got %+v", exit)
	}
}

// TestTermReachesWhatIsBeingStarted: the word comes while the shell starts a program.
func TestTermReachesWhatIsBeingStarted(t *testing.T) {
	for range 20 {
		ctx, change := untilSaid(t, "ready")
		exit, _ := sh(t, ctx, "echo ready; sleep 60; exit 3", func(c *Command) {
			change(c)
			c.Grace = 10 * time.Second
		})
		if exit.Signal != "SIGTERM" || exit.Killed || exit.Took > 5*time.Second {
			t.Errorf("got %+v", exit)
		}
	}
}

func TestTermLeavesWhatCleansUpAlone(t *testing.T) {
	ctx, change := untilSaid(t, "ready")
	exit, _ := sh(t, ctx, "trap 'sh -c \"sleep 0.05; echo cleaned\"; exit 7' TERM; echo ready; while :; do sleep 0.05; done", func(c *Command) {
		change(c)
		c.Grace = 10 * time.Second
	})
	if exit.Code != 7 || !strings.Contains(string(exit.Tail), "cleaned") {
		t.Errorf("got %+v, %s", exit.String(), exit.Tail)
	}
}

func TestTermIsIgnored(t *testing.T) {
	ctx, change := untilSaid(t, "ready")
	began := time.Now()
	exit, _ := sh(t, ctx, "trap '' TERM; echo ready; while :; do sleep 60; done", change)
	if exit.Signal != "SIGKILL" || !exit.Told || !exit.Killed || exit.Left != 0 {
		t.Errorf("got %+v", exit)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestMuchOutputIsBounded(t *testing.T) {
	n, most := 0, 0
	exit, _ := sh(t, t.Context(), "yes 0123456789012345678901234567890123456789 | head -c 100000000; echo; echo last", func(c *Command) {
		c.Line = func(l Line) { n += len(l.Text); most = max(most, len(l.Text)) }
	})
	if !exit.Success() || len(exit.Tail) != MaxTail || !strings.HasSuffix(string(exit.Tail), "\nlast\n") {
		t.Errorf("got %+v with a tail of %d bytes", exit.String(), len(exit.Tail))
	}
	if want := 100000000 - 100000000/41 + 4; n != want || most != 40 {
		t.Errorf("%d bytes in lines, want %d; the longest %d", n, want, most)
	}
	t.Logf("100 MB in lines of 41 bytes: %v", exit.Took)
}

func TestOneLongLineIsSplit(t *testing.T) {
	n, most, parts := 0, 0, 0
	exit, _ := sh(t, t.Context(), "head -c 100000000 /dev/zero | tr '\\0' x; echo; echo '::put'", func(c *Command) {
		c.Long, c.LongBytes = "::", 1<<20
		c.Line = func(l Line) {
			n += len(l.Text)
			most = max(most, len(l.Text))
			if l.Part {
				parts++
			}
		}
	})
	if !exit.Success() || n != 100000005 || most != MaxLine || parts != 100000000/MaxLine {
		t.Errorf("got %+v: %d bytes, longest %d, %d parts", exit.String(), n, most, parts)
	}
	t.Logf("one line of 100 MB: %v", exit.Took)
}

func TestLongLinesOfAKindStayWhole(t *testing.T) {
	var lines []int
	sh(t, t.Context(), `printf ':'; printf ':result '; head -c 500000 /dev/zero | tr '\0' x; echo; printf '::result '; head -c 1500000 /dev/zero | tr '\0' x`, func(c *Command) {
		c.Long, c.LongBytes = "::", 1<<20
		c.Line = func(l Line) {
			if l.Part {
				lines = append(lines, -len(l.Text))
				return
			}
			lines = append(lines, len(l.Text))
		}
	})
	want := []int{500009, -(1 << 20)}
	if len(lines) < 3 || !slices.Equal(lines[:2], want) {
		t.Errorf("got %d, want %d and the rest", lines, want)
	}
	rest := 0
	for _, n := range lines[2:] {
		rest += max(n, -n)
	}
	if rest != 1500009-(1<<20) {
		t.Errorf("the rest is %d", rest)
	}
}

func TestBytesAreHandedOnAsTheyAre(t *testing.T) {
	var out, errs bytes.Buffer
	sh(t, t.Context(), `printf 'a\r\n\000b'; printf x >&2`, func(c *Command) { c.Out, c.Err = &out, &errs })
	if out.String() != "a\r\n\x00b" || errs.String() != "x" {
		t.Errorf("got %q and %q", out.String(), errs.String())
	}
}

func TestAReaderThatLeavesEndsTheWriter(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	if exit, _ := sh(t, t.Context(), "exec yes", func(c *Command) { c.Out = w }); exit.Signal != "SIGPIPE" {
		t.Errorf("got %+v", exit.String())
	}
}

// TestManyAtOnce: what one child has open, another must not hold open.
func TestManyAtOnce(t *testing.T) {
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			exit, lines := sh(t, t.Context(), fmt.Sprintf("cat; exit %d", i), func(c *Command) { c.Stdin = strings.NewReader("x\n") })
			if exit.Code != i || len(lines) != 1 {
				t.Errorf("%d: got %+v, %q", i, exit, lines)
			}
		})
	}
	all.Wait()
}

// stuck is a writer that takes nothing until it is freed.
type stuck struct {
	free chan struct{}
	bytes.Buffer
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.free
	return s.Buffer.Write(p)
}

func TestASlowReaderLosesLinesAndHoldsUpNobody(t *testing.T) {
	to := &stuck{free: make(chan struct{})}
	l := NewLossy(to)
	line := append(bytes.Repeat([]byte("x"), 1023), '\n')
	began := time.Now()
	for range 10_000 {
		l.Write(line)
	}
	if took := time.Since(began); took > 3*lossyWait {
		t.Errorf("10 MB took %v", took)
	}
	close(to.free)
	l.Close()
	whole, last, missing := 0, "", 0
	for text := range strings.Lines(to.String()) {
		if text == string(line) {
			whole++
		}
		last = text
	}
	if _, err := fmt.Sscanf(last, "… %d lines are missing here", &missing); err != nil || whole+missing != 10_000 || whole < lossyBytes/1024-1 {
		t.Errorf("%d lines came, %d are said to be missing: %q", whole, missing, last)
	}
}
