//go:build unix && !linux

package supervise

import (
	"os"
	"syscall"
)

func executable() (string, error) { return os.Executable() }

// There is no subreaper here.
func becomeSubreaper() {}

func peakIn(usage *syscall.Rusage) int64 { return int64(usage.Maxrss) }

// It is not counted here.
func oomKills() uint64 { return 0 }

// process is the child's process group, the only thing that can be ended as a whole here.
type process struct{ group int }

func (p process) key() process { return p }

func (p process) signal(s syscall.Signal) error { return syscall.Kill(-p.group, s) }

// tree is the child's group, as long as somebody is in it.
func (s *shim) tree() []process {
	if s.child == 0 || syscall.Kill(-s.child, 0) != nil {
		return nil
	}
	return []process{{s.child}}
}

func newMarker() string { return "1" }

// Nobody can look into another's environment here.
func endMarked(string) int { return 0 }

// Sweep ends what children of dead processes have left behind. It cannot be known here.
func Sweep() int { return 0 }
