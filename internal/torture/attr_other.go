//go:build !linux

package torture

import "syscall"

// attributes of a child: nothing special. It ends when its input is closed, as it is when the parent ends.
func attributes() *syscall.SysProcAttr { return nil }
