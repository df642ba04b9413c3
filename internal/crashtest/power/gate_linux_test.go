//go:build amd64 || arm64

package power

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/holdfastq/holdfast/internal/testrequire"
)

// The gate holds up each system call of a child that changes a file, and asks the test what shall become of it. It is
// the kernel's (seccomp user notification) and counts the calls of all threads together: strace counts those of each
// thread, and a Go program changes threads as it likes, so that its n-th call would be another one in each run.

// noGate is the exit code of a child that the kernel gave no gate.
const noGate = 77

// enterGate puts this process behind a gate, sends the other end through descriptor 3, and becomes the same program
// anew: a filter holds for all threads that come after it.
func enterGate() error {
	runtime.LockOSThread()
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 4}, // the architecture
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: auditArch, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the call's number
	}
	left := len(gated)
	for nr := range gated {
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(nr), Jt: uint8(left)})
		left--
	}
	program = append(program,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		os.Exit(noGate)
	}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		os.Exit(noGate)
	}
	if err := unix.Sendmsg(3, []byte{1}, unix.UnixRights(int(fd)), nil, 0); err != nil {
		return fmt.Errorf("hand over the gate: %w", err)
	}
	unix.CloseOnExec(3)
	env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, gateEnv+"=") })
	// A signal would interrupt a call that waits at the gate, and it would come again and be counted twice.
	env = append(env, "GODEBUG=asyncpreemptoff=1")
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, env)
}

// knock is a system call that waits at the gate.
type knock struct {
	name string
	path string
	pid  int
	args [6]uint64
}

// verdict is what becomes of it.
type verdict struct {
	kill  bool
	errno syscall.Errno // it fails, and nothing is done; 0: it passes
	short bool          // half of its bytes are written
}

// passage is how a child came through the gate.
type passage struct {
	knocks int  // calls that concern the folder
	killed bool // by the gate
	err    error
	output string
}

// pass runs a role behind a gate. Each call on a file in the folder db of the life, from 1 on, is decided upon.
func pass(t testing.TB, role string, a args, decide func(n int, k knock) verdict) (passage, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return passage{}, err
	}
	far := os.NewFile(uintptr(pair[1]), "gate")
	defer unix.Close(pair[0])
	cmd := child(t, role, a)
	cmd.Env = append(cmd.Env, gateEnv+"=1")
	cmd.ExtraFiles = []*os.File{far}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Start()
	far.Close()
	if err != nil {
		return passage{}, err
	}
	g := &gate{cmd: cmd, dir: a.Dir + "/db", decide: decide}
	served := g.serve(pair[0])
	if served != nil {
		cmd.Process.Kill()
	}
	g.err = cmd.Wait()
	g.output = output.String()
	if exit, ok := errors.AsType[*exec.ExitError](g.err); ok && exit.ExitCode() == noGate {
		return g.passage, errNoGate
	}
	return g.passage, served
}

var errNoGate = errors.New("the kernel gives no gate")

// needGate skips aloud where there is none.
func needGate(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errNoGate) {
		testrequire.Skip(t, "seccomp", "the kernel does not let a process watch another's system calls (seccomp user notification)")
	}
	if err != nil {
		t.Fatal(err)
	}
}

type gate struct {
	cmd    *exec.Cmd
	dir    string
	decide func(int, knock) verdict
	passage
}

// These are the kernel's structures seccomp_notif and seccomp_notif_resp.
type (
	notice struct {
		id    uint64
		pid   uint32
		flags uint32
		nr    int32
		arch  uint32
		ip    uint64
		args  [6]uint64
	}
	reply struct {
		id    uint64
		value int64
		errno int32
		flags uint32
	}
)

// serve takes the gate through a socket and answers until the child has ended.
func (g *gate) serve(socket int) error {
	room := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, make([]byte, 1), room, unix.MSG_CMSG_CLOEXEC)
	if err != nil || n == 0 {
		return err // the child has ended: it has an exit code
	}
	messages, err := unix.ParseSocketControlMessage(room[:n])
	if err != nil || len(messages) == 0 {
		return err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	fd := fds[0]
	defer unix.Close(fd)
	for {
		wait := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(wait, -1); err == unix.EINTR {
			continue
		} else if err != nil {
			return err
		}
		if wait[0].Revents&unix.POLLIN == 0 {
			return nil // nobody is left behind the gate
		}
		var in notice
		if err := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&in)); err == unix.ENOENT || err == unix.EINTR {
			continue // it was killed meanwhile
		} else if err != nil {
			return fmt.Errorf("gate: %w", err)
		}
		out := g.answer(&in)
		if err := ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&out)); err != nil && err != unix.ENOENT {
			return fmt.Errorf("gate: %w", err)
		}
	}
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

func (g *gate) answer(in *notice) reply {
	out := reply{id: in.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	k := knock{name: gated[in.nr], pid: int(in.pid), args: in.args}
	if g.killed || !k.concerns(g.dir) {
		return out
	}
	g.knocks++
	switch v := g.decide(g.knocks, k); {
	case v.kill:
		g.killed = true
		g.cmd.Process.Kill() // the call waits here and is never made
	case v.short:
		n, err := g.half(k)
		out.flags, out.value = 0, int64(n)
		if err != nil {
			out.value, out.errno = 0, -int32(unix.EIO)
		}
	case v.errno != 0:
		out.flags, out.errno = 0, -int32(v.errno)
	}
	return out
}

// concerns finds the path that a call is about, and says whether it changes something in a folder.
func (k *knock) concerns(dir string) bool {
	at := func(name int) string {
		mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", k.pid))
		if err != nil {
			return ""
		}
		defer mem.Close()
		text := make([]byte, 4096)
		n, _ := mem.ReadAt(text, int64(k.args[name]))
		path, _, _ := bytes.Cut(text[:n], []byte{0})
		return string(path)
	}
	switch k.name {
	case "unlink", "rename", "mkdir":
		k.path = at(0)
	case "unlinkat", "renameat", "renameat2", "mkdirat":
		k.path = at(1)
	case "open", "openat":
		name := 0
		if k.name == "openat" {
			name = 1 // after the folder
		}
		if k.args[name+1]&unix.O_CREAT == 0 {
			return false
		}
		k.path = at(name)
		return strings.HasPrefix(k.path, dir) && !exists(k.path)
	default:
		k.path, _ = os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", k.pid, k.args[0]))
	}
	return strings.HasPrefix(k.path, dir)
}

// half does half of a write in the child's place.
func (g *gate) half(k knock) (int, error) {
	data := make([]byte, k.args[2]/2)
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", k.pid))
	if err != nil {
		return 0, err
	}
	defer mem.Close()
	if _, err := mem.ReadAt(data, int64(k.args[1])); err != nil {
		return 0, err
	}
	process, err := unix.PidfdOpen(g.cmd.Process.Pid, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(process)
	fd, err := unix.PidfdGetfd(process, int(k.args[0]), 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	return unix.Pwrite(fd, data, int64(k.args[3]))
}
