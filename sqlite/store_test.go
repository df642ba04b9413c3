package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/storetest"
)

// openTest opens a store in a folder of the test's own.
func openTest(t *testing.T) *Store {
	t.Helper()
	return reopenTest(t, filepath.Join(t.TempDir(), "jobs.db"))
}

func reopenTest(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(context.Background(), path)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// shiftSQL moves every stored time back, so that for the store time has passed.
var shiftSQL = []string{
	`update holdfast_meta set swept_at = swept_at - ?1`,
	`update holdfast_queues set paused_at = paused_at - ?1`,
	`update holdfast_jobs set run_at = run_at - ?1, due_at = due_at - ?1, made_at = made_at - ?1, lease_until = lease_until - ?1,
		started_at = started_at - ?1, stopped_at = stopped_at - ?1, ended_at = ended_at - ?1, cancel_at = cancel_at - ?1,
		start_by = start_by - ?1`,
	`update holdfast_attempts set started_at = started_at - ?1, stopped_at = stopped_at - ?1`,
	`update holdfast_consumers set seen_at = seen_at - ?1, started_at = started_at - ?1`,
	`update holdfast_activity set at = at - ?1`,
	`update holdfast_fences set at = at - ?1`,
}

// shiftRollups does it in two steps, because no two rows may have the same minute in between.
var shiftRollups = []string{
	`update holdfast_rollups set minute = -(minute - (?1 + 59999) / 60000)`,
	`update holdfast_rollups set minute = -minute where ?1 >= 0`,
}

func (s *Store) shift(d time.Duration) error {
	return s.writer.do(context.Background(), turnSweep, 1, 0, func(t *tx) error {
		for _, sql := range append(shiftSQL[:len(shiftSQL):len(shiftSQL)], shiftRollups...) {
			if _, err := t.exec(sql, num(d.Milliseconds())); err != nil {
				return err
			}
		}
		t.later(t.now) // whoever waits looks again
		return nil
	})
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		path := filepath.Join(t.TempDir(), "jobs.db")
		s := reopenTest(t, path)
		return storetest.Harness{
			Store: s,
			Shift: func(d time.Duration) {
				if err := s.shift(d); err != nil {
					t.Errorf("shift: %v", err)
				}
			},
			Reopen: func(t *testing.T) holdfast.Store {
				if err := s.Close(); err != nil {
					t.Fatalf("close: %v", err)
				}
				s = reopenTest(t, path)
				return s
			},
			Begin: func(t *testing.T) (holdfast.Tx, func(bool)) { return begin(t, s) },
		}
	})
}

// begin begins a transaction of a caller.
func begin(t *testing.T, s *Store) (holdfast.Tx, func(commit bool)) {
	sqlTx, err := s.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := s.Join(t.Context(), sqlTx)
	if err != nil {
		t.Fatal(err)
	}
	return tx, func(commit bool) {
		end := sqlTx.Rollback
		if commit {
			end = sqlTx.Commit
		}
		if err := end(); err != nil {
			t.Errorf("end of the transaction: %v", err)
		}
	}
}

// plainDB opens the file as any program would.
func plainDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func mustExec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// newJobs makes n new jobs of a hundred bytes.
func newJobs(n int) []holdfast.NewJob {
	jobs := make([]holdfast.NewJob, n)
	for i := range jobs {
		jobs[i] = holdfast.NewJob{ID: holdfast.NewID(), Queue: "bench", Data: make([]byte, 100)}
	}
	return jobs
}

// Where no boot id can be known, locks still say who is dead.
func TestUnknownBootIDCountsForNothing(t *testing.T) {
	for _, c := range []struct {
		before, now string
		want        bool
	}{{"a", "b", true}, {"a", "a", false}, {unknownBoot, "b", false}, {"a", unknownBoot, false}} {
		if got := restarted(c.before, c.now); got != c.want {
			t.Errorf("%s and %s: got %v", c.before, c.now, got)
		}
	}
	s := openTest(t)
	db := plainDB(t, s.path)
	mustExec(t, db, "update holdfast_meta set swept_at = swept_at + 864000000")
	if again := reopenTest(t, s.path); again == nil {
		t.Fatal("not opened")
	}
	var sweptAt int64
	if err := db.QueryRow("select swept_at from holdfast_meta").Scan(&sweptAt); err != nil || sweptAt > monotonicMS() {
		t.Errorf("the latest sweep is still of another clock: %d %v", sweptAt, err)
	}
}

// A claim that meets many late jobs cancels a part of them.
func TestClaimCancelsFewLateJobs(t *testing.T) {
	s := openTest(t)
	late := newJobs(maxLate + 10)
	for i := range late {
		late[i].StartBy = time.Now().Add(time.Hour)
	}
	if _, err := s.Insert(t.Context(), holdfast.Insert{Jobs: late}); err != nil {
		t.Fatal(err)
	}
	if err := s.shift(2 * time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{10, 0} {
		if _, err := s.Claim(t.Context(), holdfast.Claim{Queues: []string{"bench"}, N: 1, Lease: time.Minute}); err != nil {
			t.Fatal(err)
		}
		counts, err := s.Counts(t.Context())
		if err != nil || counts[0].Of(holdfast.Waiting) != want {
			t.Errorf("got %+v %v, want %d waiting", counts, err, want)
		}
	}
}
