package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfastq/holdfast"
)

func (h *house) generator(c GenerateConfig) *generator {
	h.Helper()
	c.Logger = quietLogger
	c, err := c.withDefaults()
	h.must(err)
	h.must(h.folder.mkdir(c.In, 0o777))
	return &generator{GenerateConfig: c, store: h.store, folder: h.folder}
}

// paired wants just one job for each file in a folder, and no other file and no other job.
func (h *house) paired(dir string, want int) {
	h.Helper()
	found := map[string]int{}
	for _, job := range h.jobs() {
		var f File
		h.must(json.Unmarshal(job.Data, &f))
		found[f.Path]++
	}
	if len(found) != len(h.jobs()) {
		h.Errorf("%d jobs for %d paths", len(h.jobs()), len(found))
	}
	names, err := filepath.Glob(h.file(dir + "/*"))
	h.must(err)
	for _, name := range names {
		if path := dir + "/" + filepath.Base(name); found[path] != 1 {
			h.Errorf("%s has %d jobs, want 1", path, found[path])
		}
	}
	if hidden, _ := filepath.Glob(h.file(dir + "/.*" + partial)); len(hidden) > 0 {
		h.Errorf("left: %v", hidden)
	}
	if len(names) != want || len(found) != want {
		h.Errorf("%d files, %d jobs, want %d of each", len(names), len(found), want)
	}
}

func TestGenerateGivesEachFileOneJobWhereverItDies(t *testing.T) {
	for step, files := range map[string]int{"intent recorded": 1, "half written": 1, "written": 1, "in place": 2, "folder synced": 2, "put": 2} {
		t.Run(step, func(t *testing.T) {
			h := newHouse(t)
			dying := h.generator(GenerateConfig{In: "in", step: dieAt(step)})
			if err := dying.turn(t.Context()); !errors.Is(err, errKilled) {
				t.Fatalf("turn: %v", err)
			}
			again := h.generator(GenerateConfig{In: "in", step: dieAt(step)}) // dies again while it goes on, or at the next file
			if err := again.turn(t.Context()); !errors.Is(err, errKilled) {
				t.Fatalf("second turn: %v", err)
			}
			h.must(h.generator(GenerateConfig{In: "in"}).resume(t.Context()))
			h.paired("in", len(h.jobs()))
			h.must(h.generator(GenerateConfig{In: "in"}).turn(t.Context()))
			before := len(h.jobs())
			h.must(h.generator(GenerateConfig{In: "in"}).resume(t.Context()))
			h.paired("in", before)
			if before < files {
				t.Errorf("%d files, want at least %d", before, files)
			}
		})
	}
}

func TestGenerateDoesNotPutAgainWhatHasEnded(t *testing.T) {
	for name, end := range map[string]func(h *house, id holdfast.ID){
		"waiting": func(*house, holdfast.ID) {},
		"running": func(h *house, _ holdfast.ID) { h.take(h.transformer(TransformConfig{In: "in"})) },
		"done": func(h *house, _ holdfast.ID) {
			h.must(h.take(h.transformer(TransformConfig{In: "in"})).Done(h.Context()))
		},
		"forgotten": func(h *house, id holdfast.ID) { h.forget(id) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			if err := h.generator(GenerateConfig{In: "in", step: dieAt("put")}).turn(t.Context()); !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			end(h, h.jobs()[0].ID)
			before := len(h.jobs())
			h.must(h.generator(GenerateConfig{In: "in"}).resume(t.Context()))
			h.equal("jobs after a restart", len(h.jobs()), before)
		})
	}
}

// forget removes a job, as retention does.
func (h *house) forget(id holdfast.ID) {
	h.Helper()
	_, err := holdfast.NewOperator(h.store, "test").Delete(h.Context(), holdfast.Filter{IDs: []holdfast.ID{id}})
	h.must(err)
}

func TestGenerateFinishesARenameThatWasCutShort(t *testing.T) {
	h := newHouse(t)
	g := h.generator(GenerateConfig{In: "in", step: dieAt("written")})
	if err := g.turn(t.Context()); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	in, err := g.intent(t.Context())
	h.must(err)
	h.must(os.Link(h.file(g.temporary(*in)), h.file(g.path(*in)))) // the new name is there, the old one too
	h.must(h.generator(GenerateConfig{In: "in"}).resume(t.Context()))
	h.paired("in", 1)
}

func TestGenerateLeavesAStrangersFileOfTheSameNameAlone(t *testing.T) {
	h := newHouse(t)
	g := h.generator(GenerateConfig{In: "in", step: dieAt("written")})
	if err := g.turn(t.Context()); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	in, err := g.intent(t.Context())
	h.must(err)
	h.write(g.path(*in), "a stranger's")
	h.must(h.generator(GenerateConfig{In: "in"}).resume(t.Context()))
	h.equal("the stranger's file", h.read(g.path(*in)), "a stranger's")
	h.equal("jobs", len(h.jobs()), 0)
	h.names("in", in.File)
}

// unsure is a store whose Insert is done, but not answered.
type unsure struct {
	holdfast.Store
	times int
}

func (u *unsure) Insert(ctx context.Context, in holdfast.Insert) ([]holdfast.Inserted, error) {
	made, err := u.Store.Insert(ctx, in)
	if u.times--; u.times >= 0 {
		return nil, fmt.Errorf("answer lost: %w", holdfast.ErrUnknown)
	}
	return made, err
}

func TestGenerateCountsAPutOfUnknownOutcomeOnce(t *testing.T) {
	h := newHouse(t)
	g := h.generator(GenerateConfig{In: "in"})
	g.store = &unsure{h.store, 1}
	if err := g.turn(t.Context()); !errors.Is(err, holdfast.ErrUnknown) {
		t.Fatalf("turn: %v", err)
	}
	h.paired("in", 1)
	h.must(g.turn(t.Context()))
	h.paired("in", 2)
}

func TestGenerateGoesOnAfterTroubleWithTheDisk(t *testing.T) {
	h := newHouse(t)
	full := true
	g := h.generator(GenerateConfig{In: "in", Content: func(name string, w io.Writer) error {
		if err := words(name, w); err != nil || !full {
			return err
		}
		return syscall.ENOSPC
	}})
	if err := g.turn(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("turn: %v", err)
	}
	h.paired("in", 0)
	full = false
	h.must(g.turn(t.Context()))
	h.paired("in", 1)
}

func TestGenerateMakesAFileEachFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		ctx, cancel := context.WithTimeout(t.Context(), 61*time.Second)
		defer cancel()
		h.must(Generate(ctx, h.store, h.folder, GenerateConfig{Logger: quietLogger}))
		jobs := h.jobs()
		h.equal("jobs in 61 s", len(jobs), 13)
		var f File
		h.must(json.Unmarshal(jobs[0].Data, &f))
		if len(f.Path) != 10 || len(h.read(f.Path)) < 20 {
			t.Errorf("path %q with %q", f.Path, h.read(f.Path))
		}
		h.equal("unique key", jobs[0].UniqueKey, f.Path)
		h.equal("gap", jobs[0].MadeAt.Sub(jobs[1].MadeAt), 5*time.Second)
	})
}

func TestGenerateOfANameIsRefusedWhileItIsAtWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error)
		go func() { first <- Generate(ctx, h.store, h.folder, GenerateConfig{In: "in", Logger: quietLogger}) }()
		synctest.Wait()
		err := Generate(ctx, h.store, h.open(h.dir), GenerateConfig{In: "in", Logger: quietLogger})
		if !errors.Is(err, holdfast.ErrConflict) {
			t.Errorf("second of the name: %v", err)
		}
		cancel()
		h.must(<-first)
		done, stop := context.WithCancel(t.Context())
		stop()
		h.must(Generate(done, h.store, h.folder, GenerateConfig{In: "in", Logger: quietLogger})) // free again
	})
}

func TestGeneratePausesAboveHighWater(t *testing.T) {
	h := newHouse(t)
	g := h.generator(GenerateConfig{In: "in", HighWater: 4})
	for range 10 {
		h.must(g.turn(t.Context()))
	}
	h.equal("waiting at high water", len(h.jobs()), 5)
	tr := h.transformer(TransformConfig{In: "in"})
	for range 2 {
		h.must(h.take(tr).Done(t.Context()))
	}
	h.must(g.turn(t.Context()))
	h.equal("still above half", len(h.jobs()), 5)
	h.must(h.take(tr).Done(t.Context()))
	h.must(g.turn(t.Context()))
	h.equal("goes on at half", len(h.jobs()), 6)
}

func TestGenerateSaysWhatIsWrongWithItsConfig(t *testing.T) {
	h := newHouse(t)
	for _, c := range []GenerateConfig{{Queue: "no spaces"}, {Name: "../x"}, {In: "../x"}, {In: "/x"}, {In: ".hidden"}, {In: "a/holdfast.db-holdfast"}, {Every: -1}} {
		if err := Generate(t.Context(), h.store, h.folder, c); !errors.Is(err, holdfast.ErrInvalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
