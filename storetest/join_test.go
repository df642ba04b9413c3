package storetest

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/sqlite"
)

// TestJoin runs the cases about transactions of a caller on the store that has them.
func TestJoin(t *testing.T) {
	for _, p := range joinPromises {
		t.Run(p.name, func(t *testing.T) { p.test(newFixture(t, openSQLite)) })
	}
}

func openSQLite(t *testing.T) Harness {
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "jobs.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return Harness{
		Store: s,
		Shift: func(time.Duration) { t.Error("these cases move no time") },
		Begin: func(t *testing.T) (holdfast.Tx, func(bool)) { return begin(t, s) },
	}
}

func begin(t *testing.T, s *sqlite.Store) (holdfast.Tx, func(commit bool)) {
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
