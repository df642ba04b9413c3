package sqlite

import (
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// monotonicMS is the machine's monotonic clock in milliseconds, the same for all its processes and containers. It
// ignores steps of the wall clock and stands still in a suspend. It begins anew with each boot (see bootID).
func monotonicMS() int64 {
	const clockMonotonic = 1
	var ts syscall.Timespec
	if _, _, e := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0); e != 0 {
		panic("clock_gettime: " + e.Error()) // it has no reason to fail: every Linux has this clock
	}
	return ts.Nano() / int64(time.Millisecond)
}

// bootID names this run of the machine: another one means that every process of before is dead, and that its readings
// of monotonicMS mean nothing. "" where it cannot be known.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
