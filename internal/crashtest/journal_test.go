package crashtest

import (
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
)

func TestJournalKeepsWhatIsWritten(t *testing.T) {
	dir := t.TempDir()
	j, err := OpenJournal(dir, "work")
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	one, two := holdfast.Lease{Job: holdfast.NewID(), Fence: 1}, holdfast.Lease{Job: holdfast.NewID(), Fence: 7}
	for _, err := range []error{j.Start(one), j.Start(two), j.End(two)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	entries, err := ReadJournals(dir, "work")
	if err != nil {
		t.Fatal(err)
	}
	runs, err := Runs(entries)
	if err != nil {
		t.Fatal(err)
	}
	if r := runs[one.Job]; len(r) != 1 || r[0].Fence != 1 || r[0].Start.IsZero() || !r[0].End.IsZero() {
		t.Errorf("first job: %+v", r)
	}
	if r := runs[two.Job]; len(r) != 1 || r[0].Fence != 7 || r[0].End.Before(r[0].Start) {
		t.Errorf("second job: %+v", r)
	}
	if err := j.Start(one); err != nil {
		t.Fatal(err)
	}
	if entries, err = ReadJournals(dir, "work"); err != nil {
		t.Fatal(err)
	}
	if _, err := Runs(entries); err == nil {
		t.Error("a handler that was started twice with one fence was not noticed")
	}
}

func TestOverlapsAreSeen(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1_000_000+int64(s), 0) }
	died := func(pid int) time.Time {
		if pid == 66 {
			return at(10)
		}
		return time.Time{}
	}
	for name, c := range map[string]struct {
		runs  []Run
		wrong int
	}{
		"one":                    {[]Run{{1, 1, at(1), at(2)}}, 0},
		"one after another":      {[]Run{{1, 1, at(1), at(2)}, {2, 2, at(2), at(3)}}, 0},
		"at once":                {[]Run{{1, 1, at(1), at(4)}, {2, 2, at(2), at(3)}}, 1},
		"after the death":        {[]Run{{66, 1, at(1), time.Time{}}, {2, 2, at(10), at(11)}}, 0},
		"ended before the death": {[]Run{{66, 1, at(1), at(2)}, {2, 2, at(3), at(11)}}, 0},
		"before the death":       {[]Run{{66, 1, at(1), time.Time{}}, {2, 2, at(9), at(11)}}, 1},
		"the first never ended":  {[]Run{{1, 1, at(1), time.Time{}}, {2, 2, at(9), at(11)}}, 1},
		"a fence twice":          {[]Run{{1, 1, at(1), at(2)}, {2, 1, at(3), at(4)}}, 1},
	} {
		if got := Overlaps(c.runs, died); len(got) != c.wrong {
			t.Errorf("%s: %q, want %d complaints", name, got, c.wrong)
		}
	}
}
