package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/holdfastq/holdfast"
)

// How long things may take that take no time unless something is wrong or the machine is very busy.
const (
	drainFor = 60 * time.Second // all jobs end, once everything is quiet
	endFor   = 15 * time.Second // a child ends when it is told
)

// A new store is filled with at most so many jobs, however long the run: a bound of its disk and of the check.
const (
	maxJobs = 100_000
	maxRate = 1_500 // puts in a second, of all producers
)

// nemesis starts the children, does to them what the plan says, and ends them. All of it is one goroutine's work.
type nemesis struct {
	config  Config
	plan    plan
	file    string
	records string
	report  *Report

	luck    *rand.Rand
	slots   []*process // who is in each slot now
	started int
	hurt    map[int][]hurt // by life
	record  *os.File       // what was done to which process
}

// hurt is what was done to a process, and when.
type hurt struct {
	kill     bool
	from, to time.Time
}

// process is one child.
type process struct {
	role   string
	life   int
	pid    int
	cmd    *exec.Cmd
	in     io.WriteCloser
	stderr tailWriter
	gone   chan struct{} // closed when it has ended
	stands bool
	thawAt time.Time
}

func newNemesis(c Config, p plan, file, records string, r *Report) *nemesis {
	return &nemesis{
		config: c, plan: p, file: file, records: records, report: r,
		luck: rand.New(rand.NewPCG(c.Seed, 2)), slots: make([]*process, len(p.slots)), hurt: map[int][]hurt{},
	}
}

func (n *nemesis) faults() map[int][]hurt { return n.hurt }

func (n *nemesis) run(ctx context.Context) error {
	runtime.LockOSThread() // children die with the thread that started them
	defer runtime.UnlockOSThread()
	defer n.killAll()
	var err error
	if n.record, err = os.Create(filepath.Join(n.records, "faults")); err != nil {
		return err
	}
	defer n.record.Close()
	n.config.Say("%d faults in %v, leases of %v, seed %d", len(n.plan.faults), n.config.For, n.plan.lease.Round(time.Millisecond), n.config.Seed)
	for slot := range n.slots {
		if err := n.start(slot); err != nil {
			return err
		}
	}
	begin := time.Now()
	for _, f := range n.plan.faults {
		if err := n.until(ctx, begin.Add(f.at)); err != nil {
			return err
		}
		if err := n.strike(f); err != nil {
			return err
		}
	}
	if err := n.until(ctx, begin.Add(n.config.For)); err != nil {
		return err
	}
	return n.calm(ctx)
}

// until waits for a moment; meanwhile it thaws who stood still long enough and starts anew who has ended by himself.
func (n *nemesis) until(ctx context.Context, at time.Time) error {
	for {
		next := at
		for slot, p := range n.slots {
			if p == nil {
				continue
			}
			select {
			case <-p.gone:
				n.fell(p)
				if err := n.start(slot); err != nil {
					return err
				}
				continue
			default:
			}
			if p.stands && p.thawAt.Before(next) {
				next = p.thawAt
			}
		}
		wait := min(time.Until(next), 50*time.Millisecond)
		if wait > 0 {
			pause(ctx, wait)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, p := range n.slots {
			if p != nil && p.stands && !time.Now().Before(p.thawAt) {
				if err := n.thaw(p); err != nil {
					return err
				}
			}
		}
		if !time.Now().Before(at) {
			return nil
		}
	}
}

// fell is a child that ended although nobody had told it: that is wrong.
func (n *nemesis) fell(p *process) {
	n.report.complain("%s of life %d, process %d, ended by itself: %v: %s", p.role, p.life, p.pid, p.cmd.ProcessState, p.stderr.String())
}

func (n *nemesis) strike(f fault) error {
	p := n.slots[f.slot]
	if f.stop > 0 {
		if !canPause || p.stands {
			return nil
		}
		return n.freeze(p, f.stop)
	}
	at := time.Now()
	p.cmd.Process.Kill()
	<-p.gone
	if p.stands {
		p.stands = false
		n.ended(p)
	}
	if !killed(p.cmd.ProcessState) { // it was faster
		n.fell(p)
	} else {
		n.hurt[p.life] = append(n.hurt[p.life], hurt{true, at, time.Now()})
		n.report.Kills++
		n.note(p, at, "killed, "+p.cmd.ProcessState.String())
	}
	return n.start(f.slot)
}

// freeze lets a child stand still, and returns when it does.
func (n *nemesis) freeze(p *process, length time.Duration) error {
	at := time.Now()
	if err := freeze(p.cmd.Process); err != nil {
		return fmt.Errorf("stop %s %d: %w", p.role, p.pid, err)
	}
	for deadline := at.Add(time.Second); !stands(p.cmd.Process) && time.Now().Before(deadline); {
		pause(context.Background(), time.Millisecond)
	}
	p.stands, p.thawAt = true, at.Add(length)
	n.hurt[p.life] = append(n.hurt[p.life], hurt{false, at, time.Time{}})
	n.report.Pauses++
	n.note(p, at, fmt.Sprintf("stopped for %v", length))
	return nil
}

// note writes down what was done to a process, for people.
func (n *nemesis) note(p *process, at time.Time, what string) {
	fmt.Fprintf(n.record, "%d %s life %d process %d %s\n", at.UnixNano(), p.role, p.life, p.pid, what)
}

func (n *nemesis) thaw(p *process) error {
	p.stands = false
	err := thaw(p.cmd.Process)
	n.ended(p)
	if err != nil {
		return fmt.Errorf("continue %s %d: %w", p.role, p.pid, err)
	}
	return nil
}

// ended notes the end of a pause.
func (n *nemesis) ended(p *process) {
	list := n.hurt[p.life]
	list[len(list)-1].to = time.Now()
}

// start starts a child in a slot.
func (n *nemesis) start(slot int) error {
	role := n.plan.slots[slot]
	rate := min(maxRate, maxJobs/n.config.For.Seconds()) / float64(n.config.Producers)
	text, err := json.Marshal(errand{Role: role, Life: n.started + 1, File: n.file, Records: n.records, Seed: n.luck.Uint64(), Lease: n.plan.lease, Rate: rate})
	if err != nil {
		return err
	}
	command := n.config.Command
	n.started++
	p := &process{role: role, life: n.started, gone: make(chan struct{})}
	p.cmd = exec.Command(command[0], append(command[1:len(command):len(command)], string(text))...)
	p.cmd.SysProcAttr = attributes()
	p.cmd.Stderr = &p.stderr
	if p.in, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("start a %s: %w", role, err)
	}
	p.pid = p.cmd.Process.Pid
	go func() {
		p.cmd.Wait()
		close(p.gone)
	}()
	n.slots[slot] = p
	return nil
}

// calm ends the faults: producers end, then the jobs, then everybody else.
func (n *nemesis) calm(ctx context.Context) error {
	for _, p := range n.slots {
		if p.stands {
			if err := n.thaw(p); err != nil {
				return err
			}
		}
	}
	if err := n.tell(ctx, func(role string) bool { return role == roleProducer }); err != nil {
		return err
	}
	n.config.Say("%d kills, %d pauses; waiting for the jobs to end", n.report.Kills, n.report.Pauses)
	if err := n.drain(ctx); err != nil {
		return err
	}
	return n.tell(ctx, func(string) bool { return true })
}

// tell has children end, and waits for them.
func (n *nemesis) tell(ctx context.Context, who func(role string) bool) error {
	late := time.After(endFor)
	for slot, p := range n.slots {
		if p != nil && who(p.role) {
			p.in.Close()
		} else {
			p = nil
		}
		if p == nil {
			continue
		}
		select {
		case <-p.gone:
			if !p.cmd.ProcessState.Success() {
				n.fell(p)
			}
		case <-late:
			n.report.complain("%s %d did not end within %v: %s", p.role, p.pid, endFor, p.stderr.String())
			late = time.After(time.Second)
			p.cmd.Process.Kill()
			<-p.gone
		case <-ctx.Done():
			return ctx.Err()
		}
		n.slots[slot] = nil
	}
	return nil
}

// drain waits until no job is left that has not ended.
func (n *nemesis) drain(ctx context.Context) error {
	s, err := n.config.Open(ctx, n.file)
	if err != nil {
		return err
	}
	defer s.Close()
	for deadline := time.Now().Add(drainFor); time.Now().Before(deadline); {
		left, err := unended(ctx, s)
		if err != nil || left == 0 {
			return err
		}
		if err := n.until(ctx, time.Now().Add(100*time.Millisecond)); err != nil {
			return err
		}
	}
	return nil // check counts what is stuck
}

func unended(ctx context.Context, s holdfast.Store) (left int64, err error) {
	counts, err := s.Counts(ctx)
	for _, c := range counts {
		left += c.Of(holdfast.Scheduled) + c.Of(holdfast.Waiting) + c.Of(holdfast.Running)
	}
	return left, err
}

// killAll leaves no child behind.
func (n *nemesis) killAll() {
	for _, p := range n.slots {
		if p != nil {
			p.cmd.Process.Kill()
			<-p.gone
		}
	}
}

// tailWriter keeps the last part of what a child complains about.
type tailWriter struct {
	mu  sync.Mutex
	buf []byte
}

func (w *tailWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, p...)
	if over := len(w.buf) - 4<<10; over > 0 {
		w.buf = bytes.Clone(w.buf[over:])
	}
	return len(p), nil
}

func (w *tailWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(string(w.buf))
}
