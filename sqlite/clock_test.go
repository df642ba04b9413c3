package sqlite

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestClockGoesOn(t *testing.T) {
	before := monotonicMS()
	<-time.After(20 * time.Millisecond)
	if passed := monotonicMS() - before; passed < 15 || passed > 10_000 {
		t.Errorf("%d ms passed by the store's clock in 20 ms", passed)
	}
}

// The clock is the machine's and not the process's: it reads about what the kernel calls its uptime.
func TestClockIsTheMachines(t *testing.T) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Skipf("skipped: no uptime to compare with: %v", err)
	}
	word, _, _ := strings.Cut(string(text), " ")
	uptime, err := time.ParseDuration(word + "s")
	if err != nil {
		t.Fatal(err)
	}
	// Uptime counts suspends and this clock does not.
	if got := time.Duration(monotonicMS()) * time.Millisecond; got <= 0 || got > uptime+time.Second {
		t.Errorf("clock reads %v, the machine has been up for %v", got, uptime)
	}
}

func TestBootIDStaysTheSame(t *testing.T) {
	if a, b := bootID(), bootID(); a != b || strings.TrimSpace(a) != a {
		t.Errorf("boot ids %q and %q", a, b)
	}
}
