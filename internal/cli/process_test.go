package cli

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// shell runs the command as a process of its own in a folder and gives its results, talk and exit code.
func shell(t *testing.T, dir string, args ...string) (out, talk string, code int) {
	cmd := exec.CommandContext(t.Context(), "holdfast", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOLDFAST_STORE=", "GORACE=atexit_sleep_ms=0")
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Error(err)
		return "", "", -1
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// TestProcessesTakeDifferentJobs: twelve commands at once on a store with ten jobs.
func TestProcessesTakeDifferentJobs(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	taken, empty := map[string]int{}, 0
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if _, talk, code := shell(t, dir, "put", "q", "1"); code != 0 {
				t.Errorf("put: exit code %d: %s", code, talk)
			}
		})
	}
	all.Wait()
	for range 12 {
		all.Go(func() {
			out, talk, code := shell(t, dir, "get", "q")
			mu.Lock()
			defer mu.Unlock()
			var v takenView
			switch {
			case code == 3:
				empty++
			case code != 0:
				t.Errorf("get: exit code %d: %s", code, talk)
			case json.Unmarshal([]byte(out), &v) != nil:
				t.Errorf("get printed %q", out)
			default:
				taken[v.ID]++
			}
		})
	}
	all.Wait()
	if len(taken) != 10 || empty != 2 {
		t.Errorf("%d jobs were taken and %d found none: %v", len(taken), empty, taken)
	}
	for id, n := range taken {
		if n != 1 {
			t.Errorf("job %s was taken %d times", id, n)
		}
	}
}

func TestANewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	shell(t, dir, "put", "q", "1")
	db, err := sql.Open(driver, filepath.Join(dir, "holdfast.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`update holdfast_meta set schema = 99, min_reader = 99`); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"ls"}, {"put", "q", "2"}, {"get", "q"}} {
		out, talk, code := shell(t, dir, args...)
		if code != 8 || out != "" || !strings.Contains(talk, "run a newer holdfast") {
			t.Errorf("holdfast %q: exit code %d, %q, %q", args, code, out, talk)
		}
	}
}

// TestADatabaseOfOthersIsLeftAlone: a name typed wrong leaves no table in somebody else's database, and no WAL.
func TestADatabaseOfOthersIsLeftAlone(t *testing.T) {
	for _, c := range []struct {
		name, made string
	}{
		{"a database of no known owner", `create table theirs (a)`},
		{"a database with an owner", `pragma application_id = 12345; create table theirs (a)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "a b?#%.db")
			db, err := sql.Open(driver, filepath.Join(dir, "theirs.db"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = db.Exec(c.made)
			if err := errors.Join(err, db.Close(), os.Rename(filepath.Join(dir, "theirs.db"), file)); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"ls"}, {"put", "q", "1"}} {
				_, talk, code := shell(t, dir, append(args, "--store", file)...)
				if code != 8 || !strings.Contains(talk, "a b?#%.db is a database of another program; holdfast keeps its own file: use another name for --store") {
					t.Errorf("%s: exit code %d, want 8: %s", args[0], code, talk)
				}
				after, err := os.ReadFile(file)
				if err != nil || !bytes.Equal(before, after) {
					t.Errorf("%s changed the file, %v", args[0], err)
				}
				if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
					t.Errorf("%s left %v, %v", args[0], entries, err)
				}
			}
		})
	}
}
