package pipeline

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
)

// runDemo runs the demo for so long, on a clock of the test's own, and gives what it said.
func runDemo(t *testing.T, store holdfast.Store, c DemoConfig, d time.Duration) string {
	t.Helper()
	var out strings.Builder
	c.Out = &out
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := Demo(ctx, store, c); err != nil {
		t.Fatalf("Demo: %v\n%s", err, out.String())
	}
	return out.String()
}

// files lists what is in a folder, hidden files left out.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestDemoShowsTheWholeStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		dir := filepath.Join(t.TempDir(), "demo")
		c := DemoConfig{Dir: dir, Store: "other.db", Command: "go run ./x"}

		said := runDemo(t, store, c, 20*time.Second)
		t.Log(said)
		for _, want := range []string{`(?m)^producer  file made in/[a-z]{10}`, `(?m)^consumer  file processed in/[a-z]{10}`, `(?m)^consumer  attempt failed: .*on purpose`,
			`(?m)^consumer  failed input renamed in/[a-z]{10}`, `ended: \d+ files made`, `go run ./x retry --store other.db [0-9A-Z]{26}, then start the demo again`,
			`the queue is files; in another terminal: go run ./x ls --store other.db `} {
			if !regexp.MustCompile(want).MatchString(said) {
				t.Errorf("nothing said like %s", want)
			}
		}
		if counts, err := store.Counts(t.Context()); err != nil || counts[0].Of(holdfast.Waiting) > 2 {
			t.Errorf("the consumer does not keep up: %+v, %v", counts, err)
		}
		failed, _ := filepath.Glob(filepath.Join(dir, "in", "*.failed"))
		if len(failed) == 0 {
			t.Error("no *.failed within 20 s")
		}
		if out := files(t, filepath.Join(dir, "out")); len(out) < 10 {
			t.Errorf("%d outputs within 20 s, want at least 10", len(out))
		}

		op := holdfast.NewOperator(store, "test")
		n, err := op.Retry(t.Context(), holdfast.Filter{States: []holdfast.State{holdfast.Failed}})
		if err != nil || n != len(failed) {
			t.Fatalf("Retry: %d, %v; want %d", n, err, len(failed))
		}
		// Nothing more is made; what is left is processed, what was retried too.
		runDemo(t, store, DemoConfig{Dir: dir, Every: time.Hour, FailOneIn: holdfast.No}, 2*time.Minute)
		for _, name := range failed {
			name = strings.TrimSuffix(filepath.Base(name), FailedSuffix)
			if _, err := os.Stat(filepath.Join(dir, "in", name)); err != nil {
				t.Errorf("after the retry: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "out", name)); err != nil {
				t.Errorf("after the retry: %v", err)
			}
		}
		everyInputHasItsEnd(t, store, dir)
	})
}

// everyInputHasItsEnd says whether each input was processed into its output, or failed and was renamed.
func everyInputHasItsEnd(t *testing.T, store holdfast.Store, dir string) {
	t.Helper()
	jobs := map[string]holdfast.Info{}
	list := holdfast.List{Data: true}
	for next := true; next; next = list.After != "" {
		page, err := store.List(t.Context(), list)
		if err != nil {
			t.Fatal(err)
		}
		list.After = page.Next
		for _, job := range page.Jobs {
			path := strings.TrimSuffix(strings.TrimPrefix(string(job.Data), `{"path":"`), `"}`)
			if _, twice := jobs[path]; twice {
				t.Errorf("%s has two jobs", path)
			}
			jobs[path] = job
		}
	}
	t.Logf("%d jobs", len(jobs))
	for _, name := range files(t, filepath.Join(dir, "in")) {
		base := strings.TrimSuffix(name, FailedSuffix)
		job, ok := jobs["in/"+base]
		_, outErr := os.Stat(filepath.Join(dir, "out", base))
		switch {
		case !ok:
			t.Errorf("%s has no job", name)
		case job.State == holdfast.Done && (name != base || outErr != nil):
			t.Errorf("%s is done, but: %v", name, outErr)
		case job.State == holdfast.Failed && name == base:
			t.Errorf("%s has failed and keeps its name", name)
		case !job.State.Ended():
			t.Errorf("%s is %v", name, job.State)
		}
	}
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(name, partial) {
			t.Errorf("%s is left", name)
		}
		return nil
	})
}
