package migrate

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

func files(names ...string) fstest.MapFS {
	m := fstest.MapFS{"m/README.md": {Data: []byte("not a migration")}}
	for _, n := range names {
		m["m/"+n] = &fstest.MapFile{Data: []byte("sql of " + n)}
	}
	return m
}

func TestLoadGivesTheStepsInOrder(t *testing.T) {
	steps, err := Load(files("0002_b.sql", "0001_a.sql", "0003_c.sql"), "m")
	if err != nil || len(steps) != 3 {
		t.Fatalf("got %v %v, want three steps", steps, err)
	}
	for i, s := range steps {
		if s.Number != i+1 || s.SQL != "sql of "+s.Name {
			t.Errorf("step %d: got %+v", i, s)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		files  fstest.MapFS
		saying string
	}{
		"a gap":              {files("0001_a.sql", "0003_c.sql"), "0003_c.sql should have number 2"},
		"a number twice":     {files("0001_a.sql", "0001_b.sql"), "should have number 2"},
		"no number":          {files("first.sql"), "has no number"},
		"a missing folder":   {fstest.MapFS{}, "load migrations"},
		"a number from 0 on": {files("0000_a.sql"), "should have number 1"},
	} {
		if _, err := Load(c.files, "m"); err == nil || !strings.Contains(err.Error(), c.saying) {
			t.Errorf("%s: got %v, want an error saying %q", name, err, c.saying)
		}
	}
}

// database is a target that keeps what was committed apart from what was not.
type database struct {
	version, pending int
	ran, running     []string
	open             bool
	fail             string // this SQL fails
	overtaken        int    // at the first begin another has come so far
}

func (d *database) Begin() error {
	if d.open {
		return errors.New("a transaction is open")
	}
	d.version, d.overtaken = max(d.version, d.overtaken), 0
	d.open, d.pending, d.running = true, d.version, nil
	return nil
}

func (d *database) Version() (int, error) { return d.pending, nil }

func (d *database) Exec(sql string) error {
	d.running = append(d.running, sql)
	if sql == d.fail {
		return errors.New("no such thing")
	}
	return nil
}

func (d *database) SetVersion(n int) error { d.pending = n; return nil }

func (d *database) Commit() error {
	d.version, d.ran, d.open = d.pending, append(d.ran, d.running...), false
	return nil
}

func (d *database) Rollback() error { d.open = false; return nil }

var three = []Step{{1, "1", "one"}, {2, "2", "two"}, {3, "3", "three"}}

func TestUpAppliesWhatIsMissing(t *testing.T) {
	for from := range 4 {
		d := &database{version: from}
		n, err := Up(d, three)
		if err != nil || n != 3-from || d.version != 3 || len(d.ran) != 3-from || d.open {
			t.Errorf("from %d: got %d steps %v, version %d, ran %v", from, n, err, d.version, d.ran)
		}
	}
}

func TestUpLeavesWhatAnotherHasDone(t *testing.T) {
	d := &database{overtaken: 2}
	n, err := Up(d, three)
	if err != nil || n != 1 || len(d.ran) != 1 || d.ran[0] != "three" {
		t.Errorf("got %d steps %v, ran %v; want the third alone", n, err, d.ran)
	}
}

func TestUpStopsAtAFailureAndGoesOnLater(t *testing.T) {
	d := &database{fail: "two"}
	n, err := Up(d, three)
	if err == nil || !strings.Contains(err.Error(), "migration 2") || n != 1 || d.version != 1 || d.open {
		t.Errorf("got %d steps %v, version %d", n, err, d.version)
	}
	d.fail = ""
	if n, err := Up(d, three); err != nil || n != 2 || d.version != 3 {
		t.Errorf("again: got %d steps %v, version %d", n, err, d.version)
	}
}
