package histories

import (
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
	"github.com/holdfastq/holdfast/sqlite"
)

var (
	count = flag.Int("histories", 20, "how many histories to play on SQLite; a quarter of them in memory")
	size  = flag.Int("ops", 5_000, "calls in each history")
	first = flag.Uint64("seed", 1, "the first history's seed; the others follow")
)

// howMany and howLarge are less under the race detector, which looks for something else and takes its time.
func howMany() int {
	if raceDetector {
		return (*count + 9) / 10
	}
	return *count
}

func howLarge() int {
	if raceDetector {
		return *size / 10
	}
	return *size
}

func TestHistoriesOnMemory(t *testing.T) {
	for i := range (howMany() + 3) / 4 {
		s := memory.New()
		play(t, World{Stores: []holdfast.Store{s, s}}, *first+uint64(i))
		s.Close()
	}
}

func TestHistoriesOnSQLite(t *testing.T) {
	for i := range howMany() {
		w := openSQLite(t)
		play(t, w.World, *first+uint64(i))
		w.close()
	}
}

// world is a World on a SQLite file: several stores, as if each were a process.
type world struct {
	World
	path   string
	stores []*sqlite.Store
	close  func()
}

func openSQLite(t *testing.T) *world {
	t.Helper()
	w := &world{path: filepath.Join(folder(t), "jobs.db")}
	open := func() *sqlite.Store {
		s, err := sqlite.Open(t.Context(), w.path)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for range 3 {
		s := open()
		w.stores = append(w.stores, s)
		w.Stores = append(w.Stores, s)
	}
	clock := open() // moves time, and keeps the file open meanwhile
	w.Shift = func(d time.Duration) error { return shift(clock.DB(), d) }
	w.Reopen = func(i int) (holdfast.Store, error) {
		if err := w.stores[i].Close(); err != nil {
			return nil, err
		}
		s, err := sqlite.Open(context.Background(), w.path)
		if err != nil {
			return nil, err
		}
		w.stores[i] = s
		return s, nil
	}
	w.close = func() {
		for _, s := range append(w.stores, clock) {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		os.RemoveAll(filepath.Dir(w.path)) // now, not at the test's end: many histories would fill the memory
	}
	return w
}

// folder is in memory where the machine has such a place: what is asked here is order, not durability, and syncs would
// take most of the time.
func folder(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "holdfast")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// shift moves every time that matters here back, in one transaction of its own.
func shift(db *sql.DB, d time.Duration) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, text := range []string{
		`update holdfast_meta set swept_at = swept_at - ?1`,
		`update holdfast_fences set at = at - ?1`,
		`update holdfast_jobs set run_at = run_at - ?1, due_at = due_at - ?1, made_at = made_at - ?1,
			lease_until = lease_until - ?1, started_at = started_at - ?1, stopped_at = stopped_at - ?1,
			ended_at = ended_at - ?1, cancel_at = cancel_at - ?1, start_by = start_by - ?1`,
	} {
		if _, err := tx.Exec(text, d.Milliseconds()); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// play plays one history and prints its line.
func play(t *testing.T, w World, seed uint64) Result {
	t.Helper()
	r, err := Play(t.Context(), w, Plan{Seed: seed, Ops: howLarge()})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range r.Wrong {
		t.Errorf("seed %d: %s", seed, text)
	}
	r.Wrong = nil
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", line)
	return r
}
