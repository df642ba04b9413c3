//go:build unix

package supervise

import (
	"bufio"
	"encoding/json"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Shim must be the first thing that main calls. In a process that Run has started it is the shim and does not return;
// in any other it does nothing.
func Shim() {
	if os.Getenv(shimVar) == "" {
		return
	}
	s := &shim{control: os.NewFile(3, "control"), reports: os.NewFile(4, "reports")}
	syscall.CloseOnExec(3)
	syscall.CloseOnExec(4)
	s.live()
	syscall.Exit(0) // nothing of ours is left to do at an exit
}

// shim is the process between us and a child.
type shim struct {
	control *os.File
	reports *os.File
	order   order
	child   int

	mu      sync.Mutex
	ended   bool // the child was reaped
	killed  bool
	strays  bool
	telling bool // TERM was sent
}

func (s *shim) live() {
	// Caught and dropped, not ignored: what is ignored would be so in the child too. We go when our tree is gone.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	orders := bufio.NewReader(s.control)
	text, err := orders.ReadBytes('\n')
	if err != nil || json.Unmarshal(text, &s.order) != nil {
		return // our parent is gone before it began
	}
	becomeSubreaper()
	before := peakOf(syscall.RUSAGE_SELF)
	s.child, err = syscall.ForkExec(s.order.Path, s.order.Args, &syscall.ProcAttr{
		Dir: s.order.Dir, Env: s.order.Env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	for _, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		f.Close() // the child's alone, so that they end with it
	}
	if err != nil {
		s.say(report{NotStarted: err.Error()})
		return
	}
	go s.listen(orders)
	s.reap(before)
}

// listen ends the tree when it is told to, and at once when the parent is gone.
func (s *shim) listen(orders *bufio.Reader) {
	for {
		word, err := orders.ReadString('\n')
		if err != nil {
			s.kill()
			return
		}
		if word == "end\n" {
			go s.end()
		}
	}
}

// reap waits for the child and for whatever of its tree has become ours, until there is none, and reports.
func (s *shim) reap(before int64) {
	var r report
	for {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, 0, &usage)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			break // ECHILD: nobody is left
		}
		// Between fork and exec the child is counted with our own memory.
		if peak := peakIn(&usage); peak > before {
			r.Memory = max(r.Memory, peak)
		}
		if pid != s.child {
			continue
		}
		r.Status = int(status)
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
		go s.endStrays()
	}
	s.mu.Lock()
	r.Killed, r.Strays = s.killed, s.strays
	s.mu.Unlock()
	s.say(r)
}

// endStrays ends what a child has left behind.
func (s *shim) endStrays() {
	if len(s.tree()) == 0 {
		return
	}
	s.mu.Lock()
	s.strays = !s.telling
	s.mu.Unlock()
	s.end()
}

// end ends the tree with TERM and, after the grace, KILL.
func (s *shim) end() {
	s.mu.Lock()
	again := s.telling
	s.telling = true
	s.mu.Unlock()
	if again {
		return
	}
	s.tell()
	time.Sleep(s.order.Grace)
	s.kill()
}

// tell sends TERM to the tree as it is at one moment: it stands still meanwhile. Otherwise a shell that was just starting
// a program would be told and the program not, for which the shell then waits; and to tell newcomers later would hit
// what somebody starts to clean up.
func (s *shim) tell() {
	still := map[process]bool{}
	for walk, more := 0, true; more && walk < 20; walk++ {
		more = false
		for _, p := range s.tree() {
			if !still[p.key()] {
				still[p.key()] = true
				more = p.signal(syscall.SIGSTOP) == nil || more
			}
		}
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT} {
		for p := range still {
			_ = p.signal(sig)
		}
	}
}

// kill kills the tree, as often as it takes: somebody may fork meanwhile. If some are still there after a while (they
// hang in the kernel) it says how many, and goes.
func (s *shim) kill() {
	until := time.Now().Add(endWithin)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		tree := s.tree()
		for _, p := range tree {
			if p.signal(syscall.SIGKILL) == nil {
				s.mu.Lock()
				s.killed = true
				s.mu.Unlock()
			}
		}
		if time.Now().After(until) {
			s.say(report{Status: int(syscall.SIGKILL), Killed: true, Left: len(tree)})
			syscall.Exit(1)
		}
		time.Sleep(pause) // reap ends the process meanwhile
	}
}

func (s *shim) say(r report) {
	text, err := json.Marshal(r)
	if err != nil {
		return
	}
	s.mu.Lock() // the first report counts, and is whole
	defer s.mu.Unlock()
	_, _ = s.reports.Write(append(text, '\n'))
	syscall.Exit(0)
}

func peakOf(who int) int64 {
	var usage syscall.Rusage
	if syscall.Getrusage(who, &usage) != nil {
		return 0
	}
	return peakIn(&usage)
}
