package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.." // of the repository, seen from here

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks gives the code of one language.
func blocks(text, language string) (out []string) {
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// TestReadmeCommandsRun runs every shell block of the README, line by line as a person would, in an empty folder. What
// a clone has at hand is taken from this one; what would never end, or would run this test again, is seen to begin.
func TestReadmeCommandsRun(t *testing.T) {
	all := blocks(readme(t), "sh")
	if len(all) < 2 {
		t.Fatalf("the README has %d shell blocks", len(all))
	}
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range all {
		r := reader{t: t, dir: t.TempDir(), repository: repository, bin: t.TempDir()}
		loop := ""
		for line := range strings.Lines(block) {
			line, _, _ = strings.Cut(line, "  #")
			line = strings.TrimSpace(line)
			switch {
			case strings.HasPrefix(line, "while ") || loop != "" && line != "done":
				loop += line + "\n"
			case line != "":
				r.types(loop + line)
				loop = ""
			}
		}
	}
}

// reader is somebody who types what the README says.
type reader struct {
	t                    *testing.T
	dir, repository, bin string
}

func (r *reader) types(line string) {
	r.t.Helper()
	if demo, is := strings.CutPrefix(line, "go run ./cmd/holdfast "); is {
		p := start(r.t, r.dir, "holdfast", strings.Fields(demo)...)
		p.until("file processed")
		p.signal(os.Interrupt)
		if state := p.end(); state.ExitCode() != 0 {
			r.t.Errorf("%s: %v: %s", line, state, p.talk.String())
		}
		return
	}
	if args, is := strings.CutPrefix(line, "holdfast "); is && strings.HasPrefix(args, "consume ") {
		p := start(r.t, r.dir, "holdfast", strings.Fields(args)...)
		p.until("job processed")
		p.signal(os.Interrupt)
		if state := p.end(); state.ExitCode() != 0 {
			r.t.Errorf("%s: %v: %s", line, state, p.talk.String())
		}
		return
	}
	cmd := exec.CommandContext(r.t.Context(), "sh", "-euc", line)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GOBIN="+r.bin, "PATH="+r.bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "HOLDFAST_STORE=", "GORACE=atexit_sleep_ms=0")
	switch {
	case line == "scripts/test": // it runs this test
		cmd.Args[2] = "test -x scripts/test && bash -n scripts/test"
		cmd.Dir = r.repository
	case strings.HasPrefix(line, "go "):
		cmd.Dir = r.repository
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Errorf("%s: %v\n%s", line, err, out)
	}
}

// TestReadmeCodeIsOfTheExample: what the README shows in Go is a part of a program that is compiled and run.
func TestReadmeCodeIsOfTheExample(t *testing.T) {
	program, err := os.ReadFile(filepath.Join(root, "examples", "first", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	code := blocks(readme(t), "go")
	if len(code) == 0 {
		t.Fatal("the README has no Go")
	}
	for _, c := range code {
		indented := regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(c, "\t$1")
		if !strings.Contains(string(program), indented) {
			t.Errorf("this is not in examples/first/main.go:\n%s", c)
		}
	}
}

func TestReadmeIsOneScreen(t *testing.T) {
	if n := strings.Count(readme(t), "\n"); n > 80 {
		t.Errorf("the README has %d lines", n)
	}
}
