package torture

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/sqlite"
)

var (
	length = flag.Duration("for", 4*time.Second, "how long faults go on")
	seed   = flag.Uint64("seed", 1, "of the faults")
	kills  = flag.Float64("kills", 0, "kills in a second; 0: the usual number")
)

const childCommand = "torture-child"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childCommand {
		os.Exit(Child(os.Args[2:], openSQLite))
	}
	os.Exit(m.Run())
}

func openSQLite(ctx context.Context, file string) (holdfast.Store, error) {
	s, err := sqlite.Open(ctx, file)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func TestNothingIsLostWhateverHappensToProcesses(t *testing.T) {
	r, err := Run(t.Context(), Config{
		Seed: *seed, For: *length, Kills: *kills, Open: openSQLite, Command: []string{os.Args[0], childCommand}, Say: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", line)
	if r.Failed() {
		t.Errorf("something is wrong; to see it again: go test ./internal/torture -run Processes -seed %d -for %v -v", *seed, *length)
	}
	if r.Kills == 0 || r.Done == 0 {
		t.Error("nothing has happened")
	}
}

func TestSeedGivesTheSameFaults(t *testing.T) {
	c := Config{Seed: 7, For: time.Minute, Open: openSQLite, Command: []string{"x"}}
	c, err := c.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	one, two := newPlan(c), newPlan(c)
	if !reflect.DeepEqual(one, two) {
		t.Error("the same seed gave two plans")
	}
	if n := len(one.faults); n < 200 || n > 800 {
		t.Errorf("%d faults in a minute", n)
	}
	c.Seed = 8
	if reflect.DeepEqual(one, newPlan(c)) {
		t.Error("two seeds gave the same plan")
	}
}
