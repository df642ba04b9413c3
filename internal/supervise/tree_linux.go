package supervise

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// executable is this program, also if its file was replaced or removed since.
func executable() (string, error) { return "/proc/self/exe", nil }

// becomeSubreaper makes this process the parent of whatever below it loses its own.
func becomeSubreaper() {
	const setChildSubreaper = 36
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0)
}

// peakIn is the most memory in bytes.
func peakIn(usage *syscall.Rusage) int64 { return int64(usage.Maxrss) << 10 }

// oomKills counts how often the kernel killed for want of memory, on this machine and in all its containers.
func oomKills() uint64 {
	text, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "\noom_kill ")
	number, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.ParseUint(number, 10, 64)
	return n
}

// process is a process and not just its pid: no other has both its pid and its tick.
type process struct {
	pid, parent int
	tick        uint64 // of its start, since the boot
	zombie      bool
}

// key is what makes it this process.
func (p process) key() process { return process{pid: p.pid, tick: p.tick} }

// look reads what the kernel says of a pid.
func look(pid int) (process, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, errGone
	}
	return parseStat(pid, text)
}

// parseStat reads /proc/PID/stat. The name in brackets may hold anything, also brackets.
func parseStat(pid int, text []byte) (process, error) {
	i := bytes.LastIndexByte(text, ')')
	if i < 0 {
		return process{}, errGone
	}
	fields := strings.Fields(string(text[i+1:])) // from the third on
	if len(fields) < 20 {
		return process{}, errGone
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return process{}, errGone
	}
	tick, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return process{}, errGone
	}
	// A process whose first thread has ended looks like a zombie while its other threads live on.
	zombie := fields[0] == "X" || fields[0] == "Z" && fields[17] <= "1"
	return process{pid: pid, parent: parent, tick: tick, zombie: zombie}, nil
}

// signal opens the process, sees that it is the one that was meant, and signals what it opened.
func (p process) signal(s syscall.Signal) error {
	opened, err := os.FindProcess(p.pid)
	if err != nil {
		return err
	}
	defer opened.Release()
	if now, err := look(p.pid); err != nil || now.tick != p.tick || now.zombie {
		return errGone
	}
	return opened.Signal(s)
}

// everybody gives all processes that can be seen.
func everybody() []process {
	d, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil
	}
	all := make([]process, 0, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, err := look(pid); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// tree is all that live below us.
func (*shim) tree() []process { return below(os.Getpid()) }

func below(top int) []process {
	children := map[int][]process{}
	for _, p := range everybody() {
		children[p.parent] = append(children[p.parent], p)
	}
	var tree []process
	for next := []int{top}; len(next) > 0; next = next[1:] {
		for _, p := range children[next[0]] {
			next = append(next, p.pid)
			if !p.zombie {
				tree = append(tree, p)
			}
		}
		delete(children, next[0])
	}
	return tree
}

// owner is the process that a marker names: by boot, pid namespace, pid and tick.
type owner struct {
	boot, space string
	pid         int
	tick        uint64
}

// here is this process as an owner.
var here = sync.OnceValue(func() owner {
	o := owner{pid: os.Getpid()}
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		o.boot = strings.TrimSpace(string(id))
	}
	if space, err := os.Readlink("/proc/self/ns/pid"); err == nil {
		o.space = strings.Trim(strings.TrimPrefix(space, "pid:"), "[]")
	}
	if p, err := look(o.pid); err == nil {
		o.tick = p.tick
	}
	return o
})

func newMarker() string {
	o := here()
	return fmt.Sprintf("%s.%s.%d.%d.%x", o.boot, o.space, o.pid, o.tick, rand.Uint64())
}

// parseMarker gives the owner that a marker names.
func parseMarker(marker string) (o owner, ok bool) {
	parts := strings.Split(marker, ".")
	if len(parts) != 5 {
		return o, false
	}
	pid, pidErr := strconv.Atoi(parts[2])
	tick, tickErr := strconv.ParseUint(parts[3], 10, 64)
	return owner{parts[0], parts[1], pid, tick}, pidErr == nil && tickErr == nil && pid > 0
}

// gone says whether the owner is surely dead. Of another boot it is, but then so is whoever bears its marker; of another
// pid namespace it cannot be said.
func (o owner) gone() bool {
	me := here()
	if o.boot != me.boot || o.space != me.space || me.boot == "" || me.space == "" {
		return false
	}
	p, err := look(o.pid)
	return err != nil || p.tick != o.tick || p.zombie
}

// markerOf reads the marker in a process's environment; "" if there is none, or it is not ours to see.
func markerOf(pid int) string {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return ""
	}
	const begin = markerVar + "="
	for entry := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.HasPrefix(entry, []byte(begin)) {
			return string(entry[len(begin):])
		}
	}
	return ""
}

// Sweep ends what children of dead processes have left behind: on a restart, before anything is started. It gives the
// number of processes that it killed. Whose owner lives, or cannot be judged from here, is left alone.
func Sweep() int {
	return endAll(func(marker string) bool {
		o, ok := parseMarker(marker)
		return ok && o.gone()
	}, nil)
}

// endMarked ends whoever bears a marker, and gives the number that is left.
func endMarked(marker string) int {
	left := 0
	endAll(func(m string) bool { return m == marker }, &left)
	return left
}

// endAll kills whoever bears a marker that is meant, until there is nobody, or for as long as it makes sense.
func endAll(meant func(marker string) bool, left *int) int {
	killed := map[process]bool{}
	until := time.Now().Add(endWithin)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		n := 0
		for _, p := range everybody() {
			if p.zombie || p.pid == os.Getpid() {
				continue
			}
			marker := markerOf(p.pid)
			if marker == "" || !meant(marker) {
				continue
			}
			n++
			if p.signal(syscall.SIGKILL) == nil {
				killed[p.key()] = true
			}
		}
		if n == 0 || time.Now().After(until) {
			if left != nil {
				*left = n
			}
			return len(killed)
		}
		time.Sleep(pause)
	}
}
