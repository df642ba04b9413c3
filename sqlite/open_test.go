//go:build unix

package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/holdfastq/holdfast"
)

// role runs this test binary again as another process that does one thing.
func role(t *testing.T, what string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), roleEnv+"="+what)
	cmd.Stderr = os.Stderr
	return cmd
}

func refuses(t *testing.T, path, saying string) {
	t.Helper()
	s, err := Open(t.Context(), path)
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, holdfast.ErrUnusable) || !strings.Contains(err.Error(), saying) {
		t.Errorf("open %s: got %v, want ErrUnusable saying %q", filepath.Base(path), err, saying)
	}
}

func TestOpenExistingMakesNoStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	if _, err := OpenExisting(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v, want one that wraps fs.ErrNotExist", err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 0 {
		t.Fatalf("got %v in the folder, want nothing", entries)
	}
	if err := reopenTest(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	s, err := OpenExisting(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestOpenRefusesWhatIsNoDatabase(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"text":    strings.Repeat("not a database, but long enough for one\n", 100),
		"short":   "x",
		"zeros":   strings.Repeat("\x00", 8192),
		"corrupt": "SQLite format 3\x00" + strings.Repeat("\xff", 8192),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		refuses(t, path, "is not a database")
		if after, err := os.ReadFile(path); err != nil || string(after) != content {
			t.Errorf("%s: the file was changed", name)
		}
		if _, err := os.Stat(path + "-holdfast"); err == nil {
			t.Errorf("%s: a folder was left beside the file", name)
		}
	}
	refuses(t, dir, "is not a file")
	refuses(t, filepath.Join(dir, "missing", "jobs.db"), "make it first")
}

func TestOpenRefusesTheDatabaseOfAnotherProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.db")
	mustExec(t, plainDB(t, path), "create table t (a)", "pragma application_id = 77")
	refuses(t, path, "belongs to another program")
}

func TestOpenRefusesANewerSchemaOnlyIfItSaysSo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	reopenTest(t, path).Close()
	mustExec(t, plainDB(t, path), "update holdfast_meta set schema = 9")
	if err := reopenTest(t, path).Close(); err != nil {
		t.Errorf("a newer schema that we may read: %v", err)
	}
	mustExec(t, plainDB(t, path), "update holdfast_meta set min_reader = 8")
	refuses(t, path, "database is at schema 9, this binary knows 1; run a newer holdfast")
}

func TestOpenRefusesAFolderThatCannotBeWritten(t *testing.T) {
	if os.Getuid() != 0 {
		dir := filepath.Join(t.TempDir(), "closed")
		if err := os.Mkdir(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		refuses(t, filepath.Join(dir, "jobs.db"), "must be writable")
		return
	}
	dir := openFolder(t) // root may write anywhere: somebody else has to try
	if err := os.Mkdir(filepath.Join(dir, "closed"), 0o755); err != nil {
		t.Fatal(err)
	}
	out := asNobody(t, dir, filepath.Join(dir, "closed", "jobs.db"))
	if !strings.Contains(out, "must be writable") {
		t.Errorf("got %q, want that the folder must be writable", out)
	}
	path := filepath.Join(dir, "closed", "made.db")
	reopenTest(t, path).Close()
	if out := asNobody(t, dir, path); !strings.Contains(out, "holdfast: store is unusable") || !strings.Contains(out, "writable") {
		t.Errorf("a file of another user: got %q, want that it must be writable", out)
	}
}

// A caller's own database keeps what is its own; ours is beside it.
func TestOpenInTheCallersOwnDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	db := plainDB(t, path)
	mustExec(t, db, "create table jobs (a)", "insert into jobs values (1)", "pragma user_version = 42")
	s := reopenTest(t, path)
	if _, err := s.Insert(t.Context(), holdfast.Insert{Jobs: newJobs(1)}); err != nil {
		t.Fatal(err)
	}
	var version, owner, rows int
	for query, into := range map[string]*int{
		"pragma user_version": &version, "pragma application_id": &owner, "select count(*) from jobs": &rows,
	} {
		if err := db.QueryRow(query).Scan(into); err != nil {
			t.Fatal(err)
		}
	}
	if version != 42 || owner != 0 || rows != 1 {
		t.Errorf("got user_version %d, application_id %d, %d rows; want 42, 0, 1", version, owner, rows)
	}
}

func TestNewDatabaseHasItsSettings(t *testing.T) {
	s := openTest(t)
	db := plainDB(t, s.path)
	for query, want := range map[string]string{
		"pragma page_size": "4096", "pragma auto_vacuum": "2", "pragma journal_mode": "wal", "pragma user_version": "1",
		"pragma application_id": "1752132708",
		"select count(*) from pragma_table_list where name like 'holdfast_%' and not strict and type = 'table'": "0",
	} {
		var got string
		if err := db.QueryRow(query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: got %s %v, want %s", query, got, err, want)
		}
	}
	err := s.writer.do(t.Context(), turnSweep, 1, 0, func(t *tx) error {
		return one(t, "pragma synchronous", func(r row) {
			if r.int(0) != 2 {
				panic("synchronous is not full")
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestManyOpenANewStoreAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	var all []*exec.Cmd
	for range 4 {
		cmd := role(t, "put", path, "10")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, cmd)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := Open(context.Background(), path)
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			if _, err := s.Insert(context.Background(), holdfast.Insert{Jobs: newJobs(10)}); err != nil {
				t.Errorf("insert: %v", err)
			}
			s.Close()
		})
	}
	wg.Wait()
	for _, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Errorf("another process: %v", err)
		}
	}
	counts, err := reopenTest(t, path).Counts(t.Context())
	if err != nil || len(counts) != 1 || counts[0].Of(holdfast.Waiting) != 80 {
		t.Errorf("got %+v %v, want 80 waiting jobs", counts, err)
	}
}

func TestCloseIsHarmlessTwice(t *testing.T) {
	s := openTest(t)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if _, err := s.DB().Begin(); err == nil {
		t.Error("the pool of a closed store gave a transaction")
	}
}
