//go:build unix

package supervise

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	shimVar   = "_HOLDFAST_SHIM" // in the environment of a shim alone
	markerVar = "_HOLDFAST_TREE" // in that of its child and all that come of it
	endWithin = 5 * time.Second  // after KILL, for the last process to go
	closedBy  = time.Second      // after the tree's end, for the output to end
)

// order is what a shim is told, and then perhaps the word end.
type order struct {
	Path  string        `json:"path"`
	Args  []string      `json:"args"`
	Dir   string        `json:"dir,omitempty"`
	Env   []string      `json:"env"`
	Grace time.Duration `json:"grace"`
}

// report is what a shim says, once.
type report struct {
	NotStarted string `json:"not_started,omitempty"`
	Status     int    `json:"status"` // as wait has it
	Memory     int64  `json:"memory"`
	Killed     bool   `json:"killed"`
	Strays     bool   `json:"strays"`
	Left       int    `json:"left"`
}

// keeper is the parent's side of one shim.
type keeper struct {
	cmd     *exec.Cmd
	marker  string
	control *os.File // its end is our death
	report  *os.File
	out     output
	outputs [2]*os.File // read ends
	reading sync.WaitGroup
}

func run(ctx context.Context, c Command) (Exit, error) {
	path, err := Find(c.Args[0])
	if err != nil {
		return Exit{}, err
	}
	k := &keeper{marker: newMarker()}
	k.out.line = c.Line
	began, oomBefore := time.Now(), oomKills()
	if err := k.start(&c); err != nil {
		return Exit{}, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	env := append(c.Env[:len(c.Env):len(c.Env)], markerVar+"="+k.marker)
	k.order(&order{Path: path, Args: c.Args, Dir: c.Dir, Env: env, Grace: c.Grace})
	told := k.endWith(ctx, c.Grace)
	said, sayErr := k.listen()
	exit := Exit{Told: told()}
	_ = k.cmd.Wait()
	k.control.Close()
	if sayErr != nil {
		exit.Left = endMarked(k.marker)
	}
	k.drain(ctx, c.Out != nil || c.Err != nil)
	exit.Took = time.Since(began)
	exit.Tail, exit.LastErr = k.out.end()
	switch {
	case sayErr != nil:
		exit.Code = -1
		return exit, fmt.Errorf("%s: %w", c.Args[0], sayErr)
	case said.NotStarted != "":
		return exit, fmt.Errorf("%w: %s: %s", ErrNotStarted, c.Args[0], said.NotStarted)
	}
	exit.Memory, exit.Killed, exit.Strays, exit.Left = said.Memory, said.Killed, said.Strays, said.Left
	status := syscall.WaitStatus(said.Status)
	exit.Code = status.ExitStatus()
	if status.Signaled() {
		exit.Code, exit.Number, exit.Signal = -1, int(status.Signal()), signalName(status.Signal())
		exit.OutOfMemory = status.Signal() == syscall.SIGKILL && !exit.Told && oomKills() > oomBefore
	}
	return exit, nil
}

// start starts the shim.
func (k *keeper) start(c *Command) (err error) {
	self, err := executable()
	if err != nil {
		return err
	}
	var theirs []*os.File // ends of pipes that the shim has
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
		if err != nil {
			for _, f := range []*os.File{k.control, k.report, k.outputs[0], k.outputs[1]} {
				if f != nil {
					f.Close()
				}
			}
		}
	}()
	pipe := func(ours **os.File, weRead bool) (*os.File, error) {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		if weRead {
			*ours = r
			theirs = append(theirs, w)
			return w, nil
		}
		*ours = w
		theirs = append(theirs, r)
		return r, nil
	}
	control, err := pipe(&k.control, false)
	if err != nil {
		return err
	}
	reports, err := pipe(&k.report, true)
	if err != nil {
		return err
	}
	stdout, err := pipe(&k.outputs[0], true)
	if err != nil {
		return err
	}
	stderr, err := pipe(&k.outputs[1], true)
	if err != nil {
		return err
	}
	k.cmd = &exec.Cmd{
		Path: self, Args: []string{os.Args[0], "runs", filepath.Base(c.Args[0])}, Env: []string{shimVar + "=1", "GOMAXPROCS=2"},
		Stdin: c.Stdin, Stdout: stdout, Stderr: stderr, ExtraFiles: []*os.File{control, reports},
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true}, // a Ctrl-C at our terminal is for us
		WaitDelay:   time.Second,                         // for input that nobody reads, and that does not come
	}
	if err := k.cmd.Start(); err != nil {
		return err
	}
	for i, f := range k.outputs {
		s := &stream{out: &k.out, err: i == 1, raw: c.Err}
		if i == 0 {
			s.raw, s.long, s.longBytes = c.Out, []byte(c.Long), c.LongBytes
		}
		k.reading.Go(func() { s.readFrom(f) })
	}
	return nil
}

// order says what to run. A shim that is gone by then is noticed by its silence.
func (k *keeper) order(o *order) {
	text, err := json.Marshal(o)
	if err == nil {
		_, _ = k.control.Write(append(text, '\n'))
	}
}

// endWith tells the shim to end the tree when ctx ends. Should it not have done so in time, it is ended itself. What it
// gives undoes it, and says whether the shim was told.
func (k *keeper) endWith(ctx context.Context, grace time.Duration) func() bool {
	ended := make(chan struct{})
	told := make(chan bool, 1)
	go func() {
		select {
		case <-ended:
			told <- false
			return
		case <-ctx.Done():
		}
		_, _ = k.control.WriteString("end\n")
		timer := time.NewTimer(grace + 2*endWithin)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
			_ = k.cmd.Process.Kill() // it is stopped, or stuck: listen hears the end of its pipe
		}
		told <- true
	}()
	return func() bool {
		close(ended)
		return <-told
	}
}

// listen waits for the report.
func (k *keeper) listen() (report, error) {
	defer k.report.Close()
	var r report
	text, err := bufio.NewReader(k.report).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, errShimDied
	}
	return r, nil
}

// drain waits for the end of the output. Nobody of the tree is left to write; but on some systems one may be, so it waits
// for as long as a slow reader takes, patiently, only until ctx ends.
func (k *keeper) drain(ctx context.Context, patiently bool) {
	read := make(chan struct{})
	go func() { k.reading.Wait(); close(read) }()
	if patiently {
		select {
		case <-read:
		case <-ctx.Done():
		}
	}
	timer := time.NewTimer(closedBy)
	defer timer.Stop()
	select {
	case <-read:
	case <-timer.C:
	}
	for _, f := range k.outputs {
		f.Close()
	}
	if !patiently {
		<-read
	}
}

// signalName gives the name by which people know a signal.
func signalName(s syscall.Signal) string {
	names := map[syscall.Signal]string{
		syscall.SIGABRT: "SIGABRT", syscall.SIGALRM: "SIGALRM", syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE", syscall.SIGHUP: "SIGHUP",
		syscall.SIGILL: "SIGILL", syscall.SIGINT: "SIGINT", syscall.SIGKILL: "SIGKILL", syscall.SIGPIPE: "SIGPIPE", syscall.SIGQUIT: "SIGQUIT",
		syscall.SIGSEGV: "SIGSEGV", syscall.SIGTERM: "SIGTERM", syscall.SIGTRAP: "SIGTRAP", syscall.SIGUSR1: "SIGUSR1", syscall.SIGUSR2: "SIGUSR2",
		syscall.SIGXCPU: "SIGXCPU", syscall.SIGXFSZ: "SIGXFSZ", syscall.SIGSYS: "SIGSYS",
	}
	if name, ok := names[s]; ok {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}

// errGone: there is no such process.
var errGone = errors.New("no such process")
