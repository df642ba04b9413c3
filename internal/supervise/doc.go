// Package supervise runs children and leaves nothing of them behind. It knows processes and nothing of jobs.
//
// Between us and a child stands a shim: this same executable, started again, which does nothing but start the child,
// reap its orphans and end them all. It holds a pipe from us, and the kernel closes that pipe when we die, however we
// die; then the shim kills the whole tree and goes. On Linux the shim is the tree's subreaper: whoever in it forks
// twice, starts a session or loses its parent stays below the shim, and is found by walking the tree downwards.
//
// Should somebody kill the shim too, the tree is known by a marker in its environment, which names the process that
// had it started: by pid, time of start, boot and pid namespace. Sweep ends what bears a marker whose owner is gone.
//
// No signal is ever sent to a pid alone. A process is opened, seen to be the one that was meant (it started at the same
// tick), and signalled by what was opened; a pid that was given to another meanwhile is left alone.
//
// On systems other than Linux there is neither subreaper nor marker: there the child's process group is ended, and a
// process that left the group stays. On Windows nothing is run at all.
package supervise
