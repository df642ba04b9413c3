package power

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
)

var (
	full       = flag.Bool("full", false, "the big numbers: 1,000,000 states of 200 histories, every system call, 100 rounds of a full disk")
	seed       = flag.Uint64("seed", 1, "what every life and every power cut is drawn from")
	states     = flag.Int("states", 0, "power cuts to try (20,000)")
	histories  = flag.Int("histories", 0, "recorded lives to cut (8)")
	operations = flag.Int("operations", 0, "steps of a recorded life (60)")
	steps      = flag.Int("steps", 0, "steps of the life that is killed, or given faults, at each of its system calls (15)")
	opens      = flag.Int("opens", 100, "every so manieth state is also opened as a store and used")
	stride     = flag.Int("stride", 0, "give a fault to every so manieth system call (8)")
	rounds     = flag.Int("rounds", 0, "rounds of a full disk (3)")
	workers    = flag.Int("workers", runtime.GOMAXPROCS(0), "histories, or children, at a time")
	history    = flag.String("record", "", "cut the life in this folder, which a failed test has kept, and no other")
	onlyState  = flag.String("state", "", "with -record: only this state, as POINT/NUMBER")
)

// or gives a flag's value, else the number for a change, or that of -full. The race detector makes SQLite ten times
// slower and tells nothing here that the small number does not: all work is in this goroutine or in other processes.
func or(value, small, big int) int {
	switch {
	case value > 0:
		return value
	case *full:
		return big
	case raceDetector:
		return max(small/10, 1)
	}
	return small
}

// recorded is the number of steps of a recorded life.
func recorded() int {
	if raceDetector && *operations == 0 {
		return 15
	}
	return or(*operations, 60, 60)
}

// scripted is the number of steps of a life that is killed or given faults.
func scripted() int {
	if raceDetector && *steps == 0 {
		return 15
	}
	return or(*steps, 15, 60)
}

const (
	roleEnv = "HOLDFAST_POWER_ROLE"
	argsEnv = "HOLDFAST_POWER_ARGS"
	gateEnv = "HOLDFAST_POWER_GATE"
)

// roles are what this test binary does when a test starts it again.
var roles = map[string]func(args) error{
	"life":   live,
	"full":   func(a args) error { return livePlain(a, "full") },
	"normal": func(a args) error { return livePlain(a, "normal") },
}

func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv(roleEnv)]
	if !ok {
		os.Exit(m.Run())
	}
	var a args
	err := json.Unmarshal([]byte(os.Getenv(argsEnv)), &a)
	if err == nil && os.Getenv(gateEnv) != "" {
		err = enterGate() // comes back as another program, without the variable
	}
	if err == nil {
		err = role(a)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child is a command that starts this test binary again in a role, behind other commands if there are any.
func child(t testing.TB, role string, a args, before ...string) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	line := append(before, self)
	cmd := exec.CommandContext(t.Context(), line[0], line[1:]...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role, argsEnv+"="+string(text))
	return cmd
}

// newArgs makes the folders of a life.
func newArgs(t testing.TB, seed uint64, operations int) args {
	t.Helper()
	a := args{Dir: t.TempDir(), Seed: seed, Operations: operations}
	if err := os.Mkdir(a.Dir+"/db", 0o700); err != nil {
		t.Fatal(err)
	}
	return a
}
