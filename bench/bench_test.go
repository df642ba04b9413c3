package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bench-test-")
	if err == nil {
		err = countSQLite(dir)
		os.RemoveAll(dir)
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// Each measure ends by comparing what was put with what the system's own file says is finished, so a measure without an
// error is the proof.
func TestEverySystemFinishesWhatWasPut(t *testing.T) {
	for _, s := range systems {
		t.Run(s.name, func(t *testing.T) {
			r := results{}
			p := plan{systems: []system{s}, measures: measures, rounds: 1, length: time.Millisecond, dir: t.TempDir(), talk: io.Discard}
			if err := p.measure(t.Context(), s, r); err != nil {
				t.Fatal(err)
			}
			for _, m := range measures {
				v, ok := r.median(s.name, m)
				if !ok || v.jobs == 0 || v.took <= 0 {
					t.Errorf("%s: got %d jobs in %v, want some", m, v.jobs, v.took)
				}
				if onDisk := s.store == "sqlite"; onDisk != (v.counts.commits > 0) || onDisk != (v.counts.syncs >= v.counts.commits && v.counts.syncs > 0) {
					t.Errorf("%s on %s: got %d commits and %d syncs", m, s.store, v.counts.commits, v.counts.syncs)
				}
			}
			if left, err := os.ReadDir(p.dir); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v (%v)", left, err)
			}
		})
	}
}

// forgetful reports what it never finished.
type forgetful struct{ queue }

func (f forgetful) Consume(_ context.Context, g *goal) error {
	g.add(batch)
	<-g.reached
	return nil
}

func TestLiesAreFound(t *testing.T) {
	p := plan{measures: measures, length: time.Nanosecond, dir: t.TempDir(), talk: io.Discard}
	err := p.measure(t.Context(), system{"forgetful", "sqlite", func(ctx context.Context, path string) (queue, error) {
		q, err := openPlainest(ctx, path)
		return forgetful{q}, err
	}}, results{})
	if err == nil || !strings.Contains(err.Error(), "1000 jobs were put and 0 are finished") {
		t.Errorf("got %v, want the difference", err)
	}
}

func TestCommitsAndSyncsAreCounted(t *testing.T) {
	q, err := openPlainest(t.Context(), filepath.Join(t.TempDir(), "bench.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	before := countsNow()
	for range 3 {
		if err := q.PutBatch(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := q.Put(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := countsNow().since(before); got.commits != 6 || got.syncs < 6 {
		t.Errorf("got %d commits and %d syncs, want 6 and at least 6", got.commits, got.syncs)
	}
}

func TestRowsForPrograms(t *testing.T) {
	var out bytes.Buffer
	err := run([]string{"--json", "--only", "plainest,holdfast_memory", "--measure", "lives", "--rounds", "1", "--length", "1ms", "--dir", t.TempDir()}, &out, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for dec := json.NewDecoder(&out); dec.More(); {
		var r row
		if err := dec.Decode(&r); err != nil {
			t.Fatal(err)
		}
		got[r.System+" "+r.Store+" "+r.Measure+" "+r.Unit] = r.Value
	}
	for _, want := range []string{
		"plainest sqlite lives jobs/s", "plainest sqlite lives_commits commits/1000 jobs", "plainest sqlite lives_syncs syncs/1000 jobs",
		"holdfast_memory memory lives jobs/s",
	} {
		if v, ok := got[want]; !ok || strings.HasPrefix(want, "plainest") && v <= 0 {
			t.Errorf("%s: got %v (there: %v)", want, v, ok)
		}
	}
}

func TestUnknownNamesAreRefused(t *testing.T) {
	for _, args := range [][]string{{"--only", "rabbit"}, {"--measure", "loves"}} {
		err := run(append(args, "--dir", t.TempDir()), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "there are ") {
			t.Errorf("%v: got %v, want the names that there are", args, err)
		}
	}
}
