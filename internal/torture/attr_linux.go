package torture

import "syscall"

// attributes of a child: signals of the terminal are not for it, and it dies with its parent. The kernel means the thread
// that has started it, so that one is kept (nemesis.run).
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
