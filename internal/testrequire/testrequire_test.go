package testrequire_test

import (
	"fmt"
	"testing"

	"github.com/holdfastq/holdfast/internal/testrequire"
)

// verdict records how a test would have ended; the real one would end here.
type verdict struct {
	testing.TB
	failed, skipped string
}

func (v *verdict) Helper()                      {}
func (v *verdict) Fatalf(f string, args ...any) { v.failed = fmt.Sprintf(f, args...); panic(v) }
func (v *verdict) Skipf(f string, args ...any)  { v.skipped = fmt.Sprintf(f, args...); panic(v) }

func TestSkipFailsWhatIsRequired(t *testing.T) {
	for _, c := range []struct {
		env, word string
		fails     bool
	}{
		{"", "strace", false},
		{"strace", "strace", true},
		{"fuse, strace", "strace", true},
		{"fuse,chromium", "strace", false},
		{"stracer", "strace", false},
		{"all", "strace", true},
	} {
		t.Run(c.env+" "+c.word, func(t *testing.T) {
			t.Setenv(testrequire.Env, c.env)
			v := &verdict{TB: t}
			func() {
				defer func() {
					if got := recover(); got != v {
						t.Errorf("the test went on: %v", got)
					}
				}()
				testrequire.Skip(v, c.word, "no such program")
			}()
			if got := v.failed != ""; got != c.fails {
				t.Errorf("failed %v, want %v (failed %q, skipped %q)", got, c.fails, v.failed, v.skipped)
			}
		})
	}
}
