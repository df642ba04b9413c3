package sqlite

import "syscall"

// bootID names this run of the machine: another one means that every process of before is dead. "" where it cannot be
// known.
func bootID() string {
	id, err := syscall.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
