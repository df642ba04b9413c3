//go:build unix

package torture

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// canPause says whether this system lets a process stand still.
const canPause = true

func freeze(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
func thaw(p *os.Process) error   { return p.Signal(syscall.SIGCONT) }

// stands says whether the process stands still by now.
func stands(p *os.Process) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid))
	if err != nil { // no such folder here
		out, err := exec.Command("ps", "-o", "state=", "-p", fmt.Sprint(p.Pid)).Output()
		return err != nil || strings.HasPrefix(strings.TrimSpace(string(out)), "T")
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "T")
}

// killed says whether the process ended by SIGKILL.
func killed(s *os.ProcessState) bool {
	status, ok := s.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
