package supervise

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mark is an argument of sleep that no other process has.
func mark() string { return fmt.Sprintf("9%d.%d", os.Getpid(), rand.Uint32()) }

// bearing gives the processes whose arguments have the mark.
func bearing(mark string) (pids []int) {
	for _, p := range everybody() {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
		// Not those that only start one, nor our own.
		if err == nil && strings.HasPrefix(filepath.Base(string(line)), "sleep") && strings.Contains(string(line), mark) {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// gone waits until nobody bears the mark.
func gone(t *testing.T, mark string, within time.Duration) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(within); len(bearing(mark)) > 0; <-tick.C {
		if time.Now().After(until) {
			t.Fatalf("%v later processes are left: %v", within, bearing(mark))
		}
	}
}

// family is a script that has the process and many below it, who escape in every way: their own sessions, double
// forks, no environment, deaf to TERM.
func family(mark string) string {
	return strings.ReplaceAll(`
		sleep MARK &
		setsid sleep MARK &
		( ( sleep MARK & ) & )
		( setsid sh -c 'trap "" TERM HUP; ( sleep MARK & ) & sleep MARK' & )
		( env -i setsid sh -c '( trap "" TERM; sleep MARK & ) & ' & )
		while [ $(ps ax -o args= | grep -c '^sleep MARK') -lt 6 ]; do :; done
		echo ready
	`, "MARK", mark)
}

func TestTheWholeTreeIsEnded(t *testing.T) {
	m := mark()
	ctx, change := untilSaid(t, "ready")
	began := time.Now()
	exit, _ := sh(t, ctx, family(m)+"sleep "+m, change)
	if left := bearing(m); len(left) > 0 || !exit.Told || !exit.Killed || exit.Left != 0 {
		t.Errorf("left %v, %+v", left, exit)
	}
	t.Logf("a tree that escapes: %v", time.Since(began))
}

func TestStraysOfAChildThatEndedAreEnded(t *testing.T) {
	m := mark()
	exit, _ := sh(t, t.Context(), family(m)+"exit 3", nil)
	if left := bearing(m); len(left) > 0 || exit.Code != 3 || exit.Told || !exit.Strays || exit.Left != 0 {
		t.Errorf("left %v, %+v", left, exit)
	}
}

func TestAStoppedChildIsEnded(t *testing.T) {
	ctx, change := untilSaid(t, "ready")
	exit, _ := sh(t, ctx, "echo ready; kill -STOP $$", change)
	if exit.Signal != "SIGTERM" {
		t.Errorf("got %+v", exit)
	}
}

func TestThoseWhoForkAllTheTimeAreEnded(t *testing.T) {
	m := mark()
	ctx, change := untilSaid(t, "ready")
	exit, _ := sh(t, ctx, "trap '' TERM; echo ready; while :; do sleep "+m+" & wait $!; done & while :; do (sleep 0.01; exec sleep "+m+") & sleep 0.01; done", change)
	if left := bearing(m); len(left) > 0 || exit.Left != 0 {
		t.Errorf("left %v, %+v", left, exit)
	}
}

// TestMemoryPeak: what a child had in memory is seen, and is not our own.
func TestMemoryPeak(t *testing.T) {
	exit, _ := sh(t, t.Context(), "head -c 100000000 /dev/zero | tail -c 100000000 >/dev/null", nil)
	if exit.Memory < 90_000_000 || exit.Memory > 200_000_000 {
		t.Errorf("100 MB: got %d", exit.Memory)
	}
	if exit, _ = sh(t, t.Context(), "true", nil); exit.Memory > 5_000_000 {
		t.Errorf("nothing: got %d", exit.Memory)
	}
}

// another is a parent in a process of its own.
type another struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func startParent(t *testing.T, scripts ...string) *another {
	t.Helper()
	a := &another{t: t, cmd: exec.Command("/proc/self/exe", append([]string{"parent"}, scripts...)...)}
	a.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.kill() })
	a.lines = bufio.NewScanner(out)
	a.lines.Buffer(nil, 2*MaxLine)
	return a
}

func (a *another) until(text string) string {
	a.t.Helper()
	for a.lines.Scan() {
		if strings.Contains(a.lines.Text(), text) {
			return a.lines.Text()
		}
	}
	a.t.Fatalf("the parent ended without saying %q", text)
	return ""
}

func (a *another) kill() {
	_ = a.cmd.Process.Kill()
	_ = a.cmd.Wait()
}

func TestNothingOutlivesAParentThatIsKilled(t *testing.T) {
	for round := range 5 {
		m := mark()
		p := startParent(t, family(m)+"sleep "+m)
		p.until("ready")
		p.kill()
		began := time.Now()
		gone(t, m, 2*time.Second)
		t.Logf("round %d: gone after %v", round, time.Since(began))
	}
}

// TestAShimThatIsKilled: whoever bears the marker is ended by the parent; the parent does not hang.
func TestAShimThatIsKilled(t *testing.T) {
	m := mark()
	p := startParent(t, "setsid sleep "+m+" & echo shim $PPID; sleep "+m)
	var shim int
	if _, err := fmt.Sscanf(p.until("shim "), "shim %d", &shim); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(shim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if said := p.until("ended"); !strings.Contains(said, errShimDied.Error()) {
		t.Errorf("it said %q", said)
	}
	gone(t, m, 0)
}

// TestSweepFindsWhatIsLeft: parent and shim are killed at once, before either can do a thing.
func TestSweepFindsWhatIsLeft(t *testing.T) {
	m := mark()
	p := startParent(t, "setsid sleep "+m+" & echo shim $PPID; while [ $(ps ax -o args= | grep -c '^sleep "+m+"') -lt 1 ]; do :; done; echo ready; exec sleep "+m)
	var shim int
	if _, err := fmt.Sscanf(p.until("shim "), "shim %d", &shim); err != nil {
		t.Fatal(err)
	}
	p.until("ready")
	living := mark()
	alive := startParent(t, "echo ready; exec sleep "+living)
	alive.until("ready")

	if err := syscall.Kill(shim, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.kill()
	if err := syscall.Kill(shim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	next := startParent(t, "true")
	t.Log(next.until("swept")) // or nobody, if another test's start was faster
	gone(t, m, 0)
	if len(bearing(living)) != 1 {
		t.Error("the child of a living parent was ended too")
	}
}

// TestARecycledPidIsLeftAlone: a process of the same pid that started at another tick is another process.
func TestARecycledPidIsLeftAlone(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	p, err := look(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	p.tick--
	if err := p.signal(syscall.SIGKILL); err != errGone {
		t.Errorf("got %v, want errGone", err)
	}
	if p.tick++; p.signal(syscall.Signal(0)) != nil {
		t.Error("it is gone")
	}
}

func TestOwnersAreJudgedByMoreThanTheirPid(t *testing.T) {
	me := here()
	o, ok := parseMarker(newMarker())
	if !ok || o != me || me.boot == "" || me.space == "" || me.tick == 0 {
		t.Fatalf("got %+v, want %+v", o, me)
	}
	for name, c := range map[string]struct {
		change func(*owner)
		gone   bool
	}{
		"living":                  {func(*owner) {}, false},
		"a recycled pid":          {func(o *owner) { o.tick-- }, true},
		"no such pid":             {func(o *owner) { o.pid = 1 << 30 }, true},
		"another boot":            {func(o *owner) { o.boot = "x"; o.tick-- }, false},
		"another namespace":       {func(o *owner) { o.space = "x"; o.tick-- }, false},
		"an unknown boot, and so": {func(o *owner) { o.boot = ""; o.tick-- }, false},
	} {
		o := me
		c.change(&o)
		if o.gone() != c.gone {
			t.Errorf("%s: got %v, want %v", name, o.gone(), c.gone)
		}
	}
	for _, bad := range []string{"", "1", "a.b.c.d.e", "a.b.1.2", "a.b.-1.2.3", "a.b.1.2.3.4"} {
		if _, ok := parseMarker(bad); ok {
			t.Errorf("%q is taken for a marker", bad)
		}
	}
}

func TestNamesOfProcessesMayHaveBrackets(t *testing.T) {
	p, err := parseStat(7, []byte("7 (a) Z 1 (b) S 3 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 1 1"))
	if err != nil || p != (process{pid: 7, parent: 3, tick: 12345}) {
		t.Errorf("got %+v, %v", p, err)
	}
	for _, bad := range []string{"", "7 (a", "7 (a) S 1", "7 (a) S x 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 1"} {
		if _, err := parseStat(7, []byte(bad)); err == nil {
			t.Errorf("%q is taken for a process", bad)
		}
	}
}
