//go:build unix

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAConsumerThatIsKilledLeavesNothing: no process and no half-written output; the job goes on with the next consumer.
func TestAConsumerThatIsKilledLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if _, talk, code := shell(t, dir, "put", "q", `{"n":1}`); code != 0 {
		t.Fatal(talk)
	}
	const script = `printf half > "$1"
test -e again || { : > again; setsid sh -c 'echo $$ > stray; exec sleep 60' & while ! test -s stray; do :; done; echo begun; sleep 60; }
printf ' and whole' >> "$1"`
	args := []string{"consume", "q", "--dir", "made", "--", "sh", "-c", script, "sh", "{out}"}
	p := start(t, dir, "holdfast", args...)
	p.until("begun")
	p.signal(syscall.SIGKILL)
	p.end()
	if made, _ := filepath.Glob(filepath.Join(dir, "made", "[^.]*")); len(made) > 0 {
		t.Errorf("a consumer that was killed made %v", made)
	}
	next := start(t, dir, "holdfast", args...)
	next.until("job processed")
	next.signal(os.Interrupt)
	if state := next.end(); state.ExitCode() != 0 {
		t.Errorf("the next one ended with %v: %s", state, next.talk.String())
	}
	stray, err := os.ReadFile(filepath.Join(dir, "stray"))
	if err != nil {
		t.Fatal(err)
	}
	if exec.Command("kill", "-0", strings.TrimSpace(string(stray))).Run() == nil {
		t.Error("a process of the killed consumer is left")
	}
	made, _ := filepath.Glob(filepath.Join(dir, "made", "[^.]*"))
	if len(made) != 1 {
		t.Fatalf("made are %v", made)
	}
	if text, err := os.ReadFile(made[0]); err != nil || string(text) != "half and whole" {
		t.Errorf("it has %q, %v", text, err)
	}
	for _, left := range []string{".holdfast/work/*", "made/.partial/*"} {
		if names, _ := filepath.Glob(filepath.Join(dir, left)); len(names) > 0 {
			t.Errorf("left are %v", names)
		}
	}
}

// TestCtrlCLetsACommandFinish: once; and with the time for it over, the job is given back.
func TestCtrlCLetsACommandFinish(t *testing.T) {
	for grace, want := range map[string]string{"20s": `"state":"done"`, "0": `"state":"waiting"`} {
		dir := t.TempDir()
		shell(t, dir, "put", "q", `1`)
		p := start(t, dir, "holdfast", "consume", "q", "--grace", grace, "--", "sh", "-c", "echo begun; while ! test -e go; do sleep 0.01; done")
		p.until("begun")
		p.signal(os.Interrupt)
		time.AfterFunc(100*time.Millisecond, func() {
			if grace != "0" {
				_ = os.WriteFile(filepath.Join(dir, "go"), nil, 0o666)
			}
		})
		if state := p.end(); state.ExitCode() != 0 {
			t.Errorf("it ended with %v: %s", state, p.talk.String())
		}
		if out, _, _ := shell(t, dir, "ls", "--json"); !strings.Contains(out, want) {
			t.Errorf("--grace %s: %s is missing in %s", grace, want, out)
		}
	}
}
