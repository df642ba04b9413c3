package torture

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/sqlite"
)

var (
	length = flag.Duration("for", 4*time.Second, "how long faults go on")
	seed   = flag.Uint64("seed", 1, "of the faults")
	kills  = flag.Float64("kills", 0, "kills in a second; 0: the usual number")
	pauses = flag.Float64("pauses", 0, "pauses in a second; 0: the usual number")
)

const (
	childCommand  = "torture-child"
	rottenCommand = "torture-rotten-child"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case childCommand:
			os.Exit(Child(os.Args[2:], openSQLite))
		case rottenCommand:
			os.Exit(Child(os.Args[2:], openRotten))
		}
	}
	os.Exit(m.Run())
}

// rotten is a store with planted bugs: now and then a put is acknowledged and forgotten, and a sweep takes jobs from
// those who are well.
type rotten struct {
	holdfast.Store
	puts, sweeps atomic.Int64
}

func openRotten(ctx context.Context, file string) (holdfast.Store, error) {
	s, err := openSQLite(ctx, file)
	return &rotten{Store: s}, err
}

func (r *rotten) Insert(ctx context.Context, in holdfast.Insert) ([]holdfast.Inserted, error) {
	if n := len(in.Jobs); n > 1 && r.puts.Add(1)%5 == 0 {
		answers, err := r.Store.Insert(ctx, holdfast.Insert{Jobs: in.Jobs[1:]})
		return append([]holdfast.Inserted{{ID: in.Jobs[0].ID, Made: true}}, answers...), err
	}
	return r.Store.Insert(ctx, in)
}

func (r *rotten) Sweep(ctx context.Context, w holdfast.Sweep) (holdfast.Swept, error) {
	if r.sweeps.Add(1)%10 == 0 {
		page, err := r.Store.List(ctx, holdfast.List{Filter: holdfast.Filter{States: []holdfast.State{holdfast.Running}}})
		if err != nil {
			return holdfast.Swept{}, err
		}
		for _, i := range page.Jobs {
			w.Dead = append(w.Dead, i.Consumer)
		}
		w.Every = 0
	}
	return r.Store.Sweep(ctx, w)
}

func TestPlantedBugsAreSeen(t *testing.T) {
	r, err := Run(t.Context(), Config{
		Seed: 1, For: 3 * time.Second, Kills: 1, Open: openSQLite, Command: []string{os.Args[0], rottenCommand}, Dir: t.TempDir(), Say: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Lost == 0 || r.Unexplained == 0 || !r.Failed() || r.Kept == "" {
		t.Errorf("a store that forgets puts and robs the living got %+v", r)
	}
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
		Seed: *seed, For: *length, Kills: *kills, Pauses: *pauses, Open: openSQLite, Command: []string{os.Args[0], childCommand}, Say: t.Logf,
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
		t.Errorf("something is wrong; to see it again: go test ./internal/torture -run Processes -seed %d -for %v -kills %v -pauses %v -v", *seed, *length, *kills, *pauses)
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

func TestInterruptedRunLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	dir := t.TempDir()
	_, err := Run(ctx, Config{For: time.Minute, Open: openSQLite, Command: []string{os.Args[0], childCommand}, Dir: dir})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}
