package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
)

// house is a store and a folder of files, as a test needs them.
type house struct {
	*testing.T
	store  holdfast.Store
	folder *Folder
	dir    string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{T: t, store: memory.New(), dir: t.TempDir()}
	h.folder = h.open(h.dir)
	return h
}

func (h *house) open(dir string) *Folder {
	h.Helper()
	folder, err := OpenFolder(dir, "here")
	h.must(err)
	h.Cleanup(func() { folder.Close() })
	return folder
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) file(name string) string { return filepath.Join(h.dir, filepath.FromSlash(name)) }

// write makes a file, with the folders above it.
func (h *house) write(name, text string) {
	h.Helper()
	h.must(os.MkdirAll(filepath.Dir(h.file(name)), 0o777))
	h.must(os.WriteFile(h.file(name), []byte(text), 0o666))
}

// read gives what is in a file, "none" if there is no such file.
func (h *house) read(name string) string {
	h.Helper()
	text, err := os.ReadFile(h.file(name))
	if errors.Is(err, os.ErrNotExist) {
		return "none"
	}
	h.must(err)
	return string(text)
}

func (h *house) there(name string) bool {
	_, err := os.Lstat(h.file(name))
	return err == nil
}

// names wants just these files in a folder, hidden ones too.
func (h *house) names(dir string, want ...string) {
	h.Helper()
	entries, err := os.ReadDir(h.file(dir))
	h.must(err)
	got := []string{}
	for _, e := range entries {
		if e.Name() != partial {
			got = append(got, e.Name())
		}
	}
	h.equal("files in "+dir, got, append([]string{}, want...))
}

func (h *house) equal(what string, got, want any) {
	h.Helper()
	a, errA := json.Marshal(got)
	b, errB := json.Marshal(want)
	h.must(errors.Join(errA, errB))
	if string(a) != string(b) {
		h.Errorf("%s: got %s, want %s", what, a, b)
	}
}

// put puts a job on a file.
func (h *house) put(name string) holdfast.ID {
	h.Helper()
	id, err := holdfast.NewQueue[File](h.store, DefaultQueue).Put(h.Context(), File{name}, holdfast.Unique(name, holdfast.KeepFirst))
	h.must(err)
	return id
}

func (h *house) show(id holdfast.ID) holdfast.Info {
	h.Helper()
	info, _, err := h.store.Show(h.Context(), id)
	h.must(err)
	return info
}

// gone says whether the job was removed.
func (h *house) gone(id holdfast.ID) bool {
	_, _, err := h.store.Show(h.Context(), id)
	return errors.Is(err, holdfast.ErrNotFound)
}

func (h *house) jobs() []holdfast.Info {
	h.Helper()
	page, err := h.store.List(h.Context(), holdfast.List{Data: true})
	h.must(err)
	return page.Jobs
}

func (h *house) retry(id holdfast.ID) {
	h.Helper()
	_, err := holdfast.NewOperator(h.store, "test").Retry(h.Context(), holdfast.Filter{IDs: []holdfast.ID{id}})
	h.must(err)
}

// transformer makes a consumer whose attempts the test runs itself.
func (h *house) transformer(c TransformConfig) *transformer {
	h.Helper()
	c.Engine.Logger = quietLogger
	c, err := c.withDefaults()
	h.must(err)
	t := newTransformer(h.store, h.folder, c)
	h.must(t.prepare())
	return t
}

// take takes the next job, as a consumer that may die with it.
func (h *house) take(t *transformer) *holdfast.Job[File] {
	h.Helper()
	job, err := holdfast.NewQueue[File](h.store, t.Queue).TryGet(h.Context())
	h.must(err)
	return job
}

// dies gives back a job as the manager does when its consumer is dead.
func (h *house) dies(job *holdfast.Job[File]) {
	h.Helper()
	_, err := h.store.Sweep(h.Context(), holdfast.Sweep{Dead: []holdfast.ID{job.Consumer}})
	h.must(err)
}

// consume runs a consumer for so long.
func (h *house) consume(c TransformConfig, d time.Duration) {
	h.Helper()
	if c.Engine.Logger == nil {
		c.Engine.Logger = quietLogger
	}
	if c.Engine.Backoff == nil {
		c.Engine.Backoff = holdfast.Backoff(time.Second, time.Second)
	}
	ctx, cancel := context.WithTimeout(h.Context(), d)
	defer cancel()
	h.must(Transform(ctx, h.store, h.folder, c))
}

// clean is one look of the cleaner; it gives the number of jobs removed.
func (h *house) clean(c CleanConfig) int {
	h.Helper()
	c.Logger = quietLogger
	n, err := CleanOnce(h.Context(), h.store, h.folder, c)
	h.must(err)
	return n
}

var quietLogger = slog.New(slog.DiscardHandler)

// dieAt ends an actor at the step of that name.
func dieAt(step string) func(string) error {
	return func(name string) error {
		if name == step {
			return errKilled
		}
		return nil
	}
}
