package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
)

type order struct{ N int }

func TestJoinCommitsWithTheCaller(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	mustExec(t, s.DB(), "create table orders (n)")
	queue := holdfast.NewQueue[order](s, "orders")
	for _, commit := range []bool{false, true} {
		tx, err := s.DB().BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("insert into orders values (1)"); err != nil {
			t.Fatal(err)
		}
		scope, err := s.Join(ctx, tx)
		if err != nil {
			t.Fatal(err)
		}
		id, err := queue.In(scope).Put(ctx, order{1}, holdfast.Unique("one", holdfast.Refuse))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := queue.In(scope).Put(ctx, order{2}, holdfast.Unique("one", holdfast.Refuse)); !errors.Is(err, holdfast.ErrDuplicate) {
			t.Errorf("the same key twice: got %v, want ErrDuplicate", err)
		}
		if _, _, err := s.Show(ctx, id); !errors.Is(err, holdfast.ErrNotFound) {
			t.Errorf("before the commit: got %v, want ErrNotFound", err)
		}
		if !commit {
			tx.Rollback()
			if _, _, err := s.Show(ctx, id); !errors.Is(err, holdfast.ErrNotFound) {
				t.Errorf("after a rollback: got %v, want ErrNotFound", err)
			}
			continue
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		info, _, err := s.Show(ctx, id)
		if err != nil || info.State != holdfast.Waiting || string(info.Data) != `{"N":1}` {
			t.Errorf("after the commit: got %+v %v, want the job waiting", info, err)
		}
	}
	counts, err := s.Counts(ctx)
	if err != nil || len(counts) != 1 || counts[0].Of(holdfast.Waiting) != 1 {
		t.Errorf("got counts %+v %v, want one job waiting", counts, err)
	}
}

// What a caller's transaction puts wakes a waiter although it rings no bell.
func TestJoinWakesAWaiter(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	for range 10 {
		claimed, err := s.Claim(ctx, holdfast.Claim{Queues: []string{"orders"}, N: 1, Lease: time.Minute, Unattended: true})
		if err != nil || len(claimed.Jobs) != 0 {
			t.Fatal(err)
		}
		tx, err := s.DB().BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		scope, err := s.Join(ctx, tx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := holdfast.NewQueue[order](s, "orders").In(scope).Put(ctx, order{1}); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- tx.Commit() }()
		began := time.Now()
		if _, err := s.Wait(ctx, holdfast.Wait{Queues: []string{"orders"}, Since: claimed.Tick}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > holdfast.Poll/2 {
			t.Errorf("the waiter woke after %v", took)
		}
		if claimed, err = s.Claim(ctx, holdfast.Claim{Queues: []string{"orders"}, N: 1, Lease: time.Minute, Unattended: true}); err != nil || len(claimed.Jobs) != 1 {
			t.Fatalf("got %d jobs %v, want one", len(claimed.Jobs), err)
		}
	}
}

// While a caller's transaction is open, calls of the store wait for it and then succeed.
func TestWritersWaitForAJoinedTransaction(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	tx, err := s.DB().BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithCancel(ctx)
	gone := make(chan error, 1)
	go func() {
		_, err := s.Insert(short, holdfast.Insert{Jobs: newJobs(1)})
		gone <- err
	}()
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) || errors.Is(err, holdfast.ErrUnknown) {
		t.Errorf("a call that gave up before it began: got %v, want the context's error alone", err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.Insert(ctx, holdfast.Insert{Jobs: newJobs(1)})
		done <- err
	}()
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("insert: %v", err)
	}
}

func TestJoinRefuses(t *testing.T) {
	s := openTest(t)
	dir := t.TempDir()
	begin := func(dsn string) *sql.Tx {
		db, err := sql.Open("sqlite", dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tx.Rollback() })
		return tx
	}
	const full = "?_pragma=synchronous(full)"
	other := reopenTest(t, filepath.Join(dir, "other.db"))
	copied := filepath.Join(dir, "copy.db")
	mustExec(t, s.DB(), "vacuum into '"+copied+"'")
	for name, c := range map[string]struct {
		tx     *sql.Tx
		saying string
	}{
		"another database":              {begin(filepath.Join(dir, "mine.db") + full), "is on another database"},
		"another store":                 {begin(other.path + full), "is on another database"},
		"a copy of the database":        {begin(copied + full), "a copy"},
		"a connection that syncs less":  {begin(s.path + "?_pragma=synchronous(normal)"), "_pragma=synchronous(full)"},
		"a connection that never syncs": {begin(s.path + "?_pragma=synchronous(off)"), "_pragma=synchronous(full)"},
	} {
		if _, err := s.Join(t.Context(), c.tx); !errors.Is(err, holdfast.ErrUnusable) || !strings.Contains(err.Error(), c.saying) {
			t.Errorf("%s: got %v, want ErrUnusable saying %q", name, err, c.saying)
		}
	}
	if _, err := s.Join(t.Context(), begin(s.path+full)); err != nil {
		t.Errorf("a connection with all that is needed: %v", err)
	}
	other.Close()
	mustExec(t, plainDB(t, s.path), "update holdfast_meta set schema = 9, min_reader = 8")
	if _, err := s.Join(t.Context(), begin(s.path+full)); !errors.Is(err, holdfast.ErrUnusable) || !strings.Contains(err.Error(), "schema 9") {
		t.Errorf("a newer schema: got %v, want ErrUnusable naming it", err)
	}
}

// A transaction that is not one of our SQLite library is told so, whatever it is.
func TestJoinRefusesAnotherLibrary(t *testing.T) {
	s := openTest(t)
	db := plainDB(t, s.path)
	db.SetMaxOpenConns(1)
	mustExec(t, db, "pragma synchronous = full",
		"create temp table pragma_compile_options (compile_options)", // what a library of another build would answer
		"insert into pragma_compile_options values ('COMPILER=another')")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := s.Join(t.Context(), tx); !errors.Is(err, holdfast.ErrUnusable) || !strings.Contains(err.Error(), "another SQLite library") {
		t.Errorf("got %v, want ErrUnusable saying that it is another library", err)
	}
}

// A path with what an URI would read differently works all the same.
func TestPoolOpensAnyPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c=d#e%41&ü")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := reopenTest(t, filepath.Join(dir, "jobs?mode=ro.db"))
	tx, err := s.DB().Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := s.Join(t.Context(), tx); err != nil {
		t.Error(err)
	}
}
