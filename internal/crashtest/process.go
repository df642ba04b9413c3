//go:build unix

package crashtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	roleEnv = "HOLDFAST_CRASHTEST_ROLE"
	argsEnv = "HOLDFAST_CRASHTEST_ARGS"

	// Patience is how long a test waits for what comes at once, unless something is broken or the machine is very busy.
	Patience = 60 * time.Second
)

// Child is this process, in a role, as seen by its role.
type Child struct {
	Ctx   context.Context // ends when the parent closes the child's input, or is gone
	Heard <-chan string   // lines from the parent

	args string
	out  sync.Mutex
}

// Args reads what the parent has given along.
func (c *Child) Args(into any) error { return json.Unmarshal([]byte(c.args), into) }

// Say sends a line to the parent.
func (c *Child) Say(format string, args ...any) {
	c.out.Lock()
	defer c.out.Unlock()
	fmt.Fprintf(os.Stdout, format+"\n", args...)
}

// Hear waits for the parent's next line.
func (c *Child) Hear() (string, error) {
	select {
	case line := <-c.Heard:
		return line, nil
	case <-c.Ctx.Done():
		return "", c.Ctx.Err()
	}
}

// Main is TestMain's: in a child it plays the role and ends the process, else it runs the tests.
func Main(m *testing.M, roles map[string]func(*Child) error) {
	name := os.Getenv(roleEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	role, ok := roles[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "no role %q\n", name)
		os.Exit(2)
	}
	ctx, cancel := context.WithCancel(context.Background())
	heard := make(chan string, 64)
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			heard <- in.Text()
		}
		cancel()
		<-time.After(Patience)
		fmt.Fprintf(os.Stderr, "role %s does not end\n", name)
		os.Exit(3)
	}()
	if err := role(&Child{Ctx: ctx, Heard: heard, args: os.Getenv(argsEnv)}); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Process is a child, as seen by its parent.
type Process struct {
	PID int

	t      testing.TB
	role   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan string
	gone   chan struct{} // closed when it has ended; then err holds
	err    error
	stderr lockedBuffer
}

// Start starts this test binary again in a role. The process is killed at the end of the test, if it still is there.
func Start(t testing.TB, role string, args any) *Process {
	t.Helper()
	text, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{t: t, role: role, lines: make(chan string, 4096), gone: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), roleEnv+"="+role, argsEnv+"="+string(text))
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.in, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p.PID = p.cmd.Process.Pid
	go func() {
		scanner := bufio.NewScanner(out)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			p.lines <- scanner.Text()
		}
		close(p.lines)
		p.err = p.cmd.Wait()
		close(p.gone)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		go func() { // nobody reads what is left
			for range p.lines {
			}
		}()
		<-p.gone
	})
	return p
}

// Say sends a line to the child.
func (p *Process) Say(format string, args ...any) {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.in, format+"\n", args...); err != nil {
		p.t.Fatalf("%s %d does not listen: %v\n%s", p.role, p.PID, err, p.stderr.String())
	}
}

// Hear waits for the child's next line.
func (p *Process) Hear() string {
	p.t.Helper()
	line, ok := p.TryHear()
	if !ok {
		p.t.Fatalf("%s %d ended instead of speaking: %v\n%s", p.role, p.PID, p.err, p.stderr.String())
	}
	return line
}

// TryHear is Hear, but false if the child has ended.
func (p *Process) TryHear() (string, bool) {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			<-p.gone
		}
		return line, ok
	case <-time.After(Patience):
		p.t.Fatalf("%s %d says nothing for %v\n%s", p.role, p.PID, Patience, p.stderr.String())
		return "", false
	}
}

// Expect waits for a line that begins so, and gives its other words.
func (p *Process) Expect(word string) []string {
	p.t.Helper()
	line := p.Hear()
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != word {
		p.t.Fatalf("%s %d says %q, want %s …\n%s", p.role, p.PID, line, word, p.stderr.String())
	}
	return words[1:]
}

// Gone is closed when the child has ended.
func (p *Process) Gone() <-chan struct{} { return p.gone }

// Kill kills the child and waits for its end. It gives the time just before.
func (p *Process) Kill() time.Time {
	at := time.Now()
	p.cmd.Process.Kill()
	p.wait()
	return at
}

// Freeze stops the child where it is, and returns when it stands still. Thaw lets it go on.
func (p *Process) Freeze() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	deadline := time.After(Patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if state := processState(p.PID); strings.HasPrefix(state, "T") {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			p.t.Fatalf("%s %d does not stand still", p.role, p.PID)
		}
	}
}

// Thaw lets a frozen child go on.
func (p *Process) Thaw() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		p.t.Fatal(err)
	}
}

// End closes the child's input, which is its sign to end, and waits. A child that ends with an error fails the test.
func (p *Process) End() {
	p.t.Helper()
	p.in.Close()
	p.wait()
	if p.err != nil {
		p.t.Errorf("%s %d: %v\n%s", p.role, p.PID, p.err, p.stderr.String())
	}
}

// Killed says whether the ended child was killed by SIGKILL.
func (p *Process) Killed() bool {
	<-p.gone
	exit, ok := errors.AsType[*exec.ExitError](p.err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Stderr is what the child has complained about so far.
func (p *Process) Stderr() string { return p.stderr.String() }

// wait drains the child's lines and waits for its end.
func (p *Process) wait() {
	p.t.Helper()
	deadline := time.After(2 * Patience)
	lines := p.lines
	for {
		select {
		case _, ok := <-lines:
			if !ok {
				lines = nil
			}
		case <-p.gone:
			return
		case <-deadline:
			p.t.Fatalf("%s %d does not end\n%s", p.role, p.PID, p.stderr.String())
		}
	}
}

// processState gives the letter that the kernel has for what a process does: T stands still.
func processState(pid int) string {
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		if end := bytes.LastIndexByte(stat, ')'); end > 0 && end+2 < len(stat) {
			return string(stat[end+2:])
		}
	}
	out, err := exec.Command("ps", "-o", "state=", "-p", fmt.Sprint(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// lockedBuffer is written by a child's goroutine and read by the test's: the last 16 KB.
type lockedBuffer struct {
	mu   sync.Mutex
	tail []byte
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tail = append(b.tail, p...)
	if most := 16 << 10; len(b.tail) > 2*most {
		b.tail = append([]byte{}, b.tail[len(b.tail)-most:]...)
	}
	return len(p), nil
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.tail)
}
