package cli

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// deaf is a program that was told to end and does not.
func deaf() {
	ctx, stop := new(app).untilTold(context.Background())
	defer stop()
	fmt.Println("ready")
	<-ctx.Done()
	fmt.Println("told")
	select {}
}

// process is a command that runs until it is told to end.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   *bufio.Scanner
	lines []string
	talk  bytes.Buffer
}

func start(t *testing.T, dir, name string, args ...string) *process {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signal to end one process politely")
	}
	p := &process{t: t, cmd: exec.CommandContext(t.Context(), name, args...)}
	p.cmd.Dir, p.cmd.Stderr = dir, &p.talk
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "HOLDFAST_STORE=")
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	return p
}

// until reads lines of the results until one contains the text.
func (p *process) until(text string) {
	p.t.Helper()
	for p.out.Scan() {
		p.lines = append(p.lines, p.out.Text())
		if strings.Contains(p.out.Text(), text) {
			return
		}
	}
	p.t.Fatalf("it ended without saying %q:\n%s\n%s", text, strings.Join(p.lines, "\n"), p.talk.String())
}

// end reads the rest of the results and gives how the process ended.
func (p *process) end() *os.ProcessState {
	p.t.Helper()
	for p.out.Scan() {
		p.lines = append(p.lines, p.out.Text())
	}
	p.cmd.Wait()
	return p.cmd.ProcessState
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func TestTheSecondCtrlCEndsAtOnce(t *testing.T) {
	p := start(t, t.TempDir(), "deaf")
	p.until("ready")
	p.signal(os.Interrupt)
	p.until("told")
	p.signal(os.Interrupt)
	if state := p.end(); state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v", state)
	}
}

func TestServeDemoEndsWhenTold(t *testing.T) {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		dir := t.TempDir()
		p := start(t, dir, "holdfast", "serve", "--demo")
		p.until("file processed")
		p.signal(s)
		if state := p.end(); state.ExitCode() != 0 {
			t.Errorf("%v: it ended with %v: %s", s, state, p.talk.String())
		}
		contains(t, p.talk.String(), "made the store ./holdfast.db", "finishing what runs; press Ctrl-C again to end now")
		contains(t, strings.Join(p.lines, "\n"), "demo      ended: ")
		if made, _ := filepath.Glob(filepath.Join(dir, "demo", "out", "*")); len(made) == 0 {
			t.Errorf("%v: there is nothing in demo/out", s)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != "demo" && !strings.HasPrefix(e.Name(), "holdfast.db") {
				t.Errorf("%v: it made %s", s, e.Name())
			}
		}
	}
}

func TestManagerEndsWhenTold(t *testing.T) {
	dir := t.TempDir()
	put := func() {
		cmd := exec.Command("holdfast", "put", "q", "1", "--start-by", "2001-01-01")
		cmd.Dir = dir
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	put()
	p := start(t, dir, "holdfast", "manager", "--every", "10ms", "--jsonl")
	p.until(`"cancelled":1`)
	p.signal(os.Interrupt)
	if state := p.end(); state.ExitCode() != 0 {
		t.Errorf("it ended with %v: %s", state, p.talk.String())
	}
	contains(t, p.talk.String(), "manager looks every 10 ms; Ctrl-C ends it", "manager ended")
}

func TestCtrlCEndsAWait(t *testing.T) {
	p := newPerson(t)
	p.ok("put", "q", "1")
	p.take("q")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	p.ctx = ctx
	p.fails(1, "holdfast: interrupted\n", "get", "q", "--wait", "1m")
}

func TestCtrlCEndsReading(t *testing.T) {
	read, write := io.Pipe()
	defer write.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	var talk bytes.Buffer
	a := &app{in: read, out: io.Discard, talk: &talk, env: func(string) string { return "" }}
	if code := a.run(ctx, []string{"put", "q", "-"}); code != 1 || talk.String() != "holdfast: interrupted\n" {
		t.Errorf("exit code %d, %q", code, talk.String())
	}
	read.Close()
}
