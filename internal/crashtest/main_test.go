//go:build unix

package crashtest

import "testing"

func TestMain(m *testing.M) {
	Main(m, map[string]func(*Child) error{
		"produce":  produce,
		"consume":  consume,
		"hold":     hold,
		"work":     work,
		"transact": transact,
		"write":    write,
		"wake":     wake,
		"idle":     idle,
		"put":      put,
	})
}
