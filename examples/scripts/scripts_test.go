//go:build unix

// Package scripts has consumers in other languages; the test runs them as their first lines say.
package scripts

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTwoStepsInShellAndPython(t *testing.T) {
	bin, dir := t.TempDir(), t.TempDir()
	run(t, ".", "go", "build", "-o", bin, "github.com/holdfastq/holdfast/cmd/holdfast")
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("HOLDFAST_STORE", filepath.Join(dir, "holdfast.db"))
	for _, script := range []string{"shout.sh", "count.py"} {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, script), string(text))
	}
	write(t, filepath.Join(dir, "in", "ada.txt"), "one two one\n")
	write(t, filepath.Join(dir, "in", "empty.txt"), "")

	run(t, dir, "holdfast", "put", "texts", `{"path":"in/ada.txt"}`)
	run(t, dir, "holdfast", "put", "texts", `{"path":"in/empty.txt"}`)
	consume(t, dir, []string{"job processed", "job failed for good"}, "texts", "--dir", "loud", "--then", "count", "--", "./shout.sh", "{in}", "{out}")
	consume(t, dir, []string{"job processed"}, "count", "--", "python3", "count.py")

	if text, err := os.ReadFile(filepath.Join(dir, "loud", "ada.txt")); err != nil || string(text) != "ONE TWO ONE\n" {
		t.Errorf("loud/ada.txt has %q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "in", "empty.txt.failed")); err != nil {
		t.Error(err)
	}
	for args, want := range map[string]string{
		"ls --queue count --json":               `"state":"done"`,
		"ls --queue texts --state failed":       "there is nothing in it",
		"get frequent":                          `"data":{"word":"ONE","n":2,"of":"loud/ada.txt"}`,
		"ls --queue texts --state done --jsonl": `"state":"done"`,
	} {
		if out := run(t, dir, "holdfast", strings.Fields(args)...); !strings.Contains(out, want) {
			t.Errorf("holdfast %s: %q is missing in %s", args, want, out)
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o777); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// consume runs a consumer until it has said all of that, then ends it.
func consume(t *testing.T, dir string, said []string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "holdfast", append([]string{"consume"}, args...)...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	missing := func() string {
		for _, s := range said {
			if !strings.Contains(all.String(), s) {
				return s
			}
		}
		return ""
	}
	for lines := bufio.NewScanner(out); missing() != "" && lines.Scan(); {
		all.WriteString(lines.Text() + "\n")
	}
	if m := missing(); m != "" {
		t.Errorf("it did not say %q:\n%s", m, all.String())
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
