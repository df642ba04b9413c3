package pipeline

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfastq/holdfast"
)

var errBroken = errors.New("broken")

// broken is a Process that fails for good.
func broken(context.Context, holdfast.Info, string, io.Reader, io.Writer) error {
	return holdfast.Permanent(errBroken)
}

// fail puts a job on a new file and lets it fail for good; whoever would rename the file dies at step, "" for nobody.
func (h *house) fail(name, step string) holdfast.ID {
	h.Helper()
	h.write(name, "text of "+name)
	id := h.put(name)
	c := TransformConfig{In: "in", Process: broken}
	if step != "" {
		c.step = dieAt(step)
	}
	h.consume(c, time.Minute)
	if job := h.show(id); job.State != holdfast.Failed || !job.Attached {
		h.Fatalf("%v, attached %v: %s", job.State, job.Attached, job.Error)
	}
	return id
}

func TestFailedInputIsRenamedWhereverItsConsumerDies(t *testing.T) {
	for step, before := range map[string]string{"state recorded": "a", "renamed": "a.failed"} {
		t.Run(step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t)
				id := h.fail("in/a", step)
				h.names("in", before)
				h.equal("removed", h.clean(CleanConfig{}), 0)
				h.names("in", "a.failed")
				h.retry(id)
				h.consume(TransformConfig{In: "in"}, time.Minute)
				h.names("in", "a")
				h.equal("output", h.read("out/a"), header+"in/a\nTEXT OF IN/A")
			})
		})
	}
}

func TestFailedInputComesBackAtARetryWhereverTheNextConsumerDies(t *testing.T) {
	for _, step := range []string{"reopened", "restored", "in place"} {
		t.Run(step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t)
				id := h.fail("in/a", "")
				h.retry(id)
				dying := h.transformer(TransformConfig{In: "in", step: dieAt(step)})
				for range 2 {
					job := h.take(dying)
					if err := dying.handle(t.Context(), job); !errors.Is(err, errKilled) {
						t.Fatalf("attempt: %v", err)
					}
					h.clean(CleanConfig{}) // leaves alone what is not failed any more
					h.dies(job)
				}
				h.consume(TransformConfig{In: "in"}, time.Minute)
				h.equal("state", h.show(id).State, holdfast.Done)
				h.names("in", "a")
				h.names("out", "a")
			})
		})
	}
}

func TestFailedInputMayFailAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		id := h.fail("in/a", "")
		h.retry(id)
		h.consume(TransformConfig{In: "in", Process: broken}, time.Minute)
		h.equal("state", h.show(id).State, holdfast.Failed)
		h.names("in", "a.failed")
		h.must(CheckRetry(h.info(id), "here"))
	})
}

func (h *house) info(id holdfast.ID) *holdfast.Info {
	info := h.show(id)
	return &info
}

func TestFailedInputThatIsGoneOrChangedFailsForGoodAndSaysWhy(t *testing.T) {
	table := map[string]struct {
		mend func(h *house)
		why  string // of the refusal; "": none
		left []string
	}{
		"as it was":      {func(*house) {}, "", []string{"a"}},
		"gone":           {func(h *house) { h.must(os.Remove(h.file("in/a.failed"))) }, "its input is gone", nil},
		"changed":        {func(h *house) { h.write("in/a.failed", "other") }, "rename it to in/a yourself", []string{"a.failed"}},
		"touched":        {func(h *house) { h.must(os.Chtimes(h.file("in/a.failed"), time.Time{}, time.Unix(1, 0))) }, "changed since", []string{"a.failed"}},
		"a link":         {func(h *house) { h.swapForLink() }, "no regular file", []string{"a.failed", "b"}},
		"mended by hand": {func(h *house) { h.must(os.Rename(h.file("in/a.failed"), h.file("in/a"))); h.write("in/a", "mended") }, "", []string{"a"}},
		"path is taken":  {func(h *house) { h.write("in/a", "another") }, "", []string{"a", "a.failed"}},
		"cut short":      {func(h *house) { h.must(os.Link(h.file("in/a.failed"), h.file("in/a"))) }, "", []string{"a"}},
	}
	for name, c := range table {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t)
				id := h.fail("in/a", "")
				c.mend(h)
				err := CheckRetry(h.info(id), "here")
				if c.why == "" && err != nil || c.why != "" && (!errors.Is(err, holdfast.ErrConflict) || !strings.Contains(err.Error(), c.why)) {
					t.Errorf("CheckRetry: %v, want %q", err, c.why)
				}
				h.retry(id) // somebody insists
				h.consume(TransformConfig{In: "in"}, time.Minute)
				job := h.show(id)
				if c.why == "" {
					h.equal("state", job.State, holdfast.Done)
				} else if job.State != holdfast.Failed || job.Failures != 1 || !job.Attached || !strings.Contains(job.Error, c.why) {
					t.Errorf("%v after %d, attached %v: %s", job.State, job.Failures, job.Attached, job.Error)
				}
				h.names("in", c.left...)
			})
		})
	}
}

func (h *house) swapForLink() {
	h.must(os.Rename(h.file("in/a.failed"), h.file("in/b")))
	h.must(os.Symlink("b", h.file("in/a.failed")))
}

func TestFailedInputNeverReplacesAStrangersFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.write("in/a.failed", "a stranger's")
		id := h.fail("in/a", "")
		h.clean(CleanConfig{})
		h.equal("the stranger's", h.read("in/a.failed"), "a stranger's")
		h.names("in", "a", "a.failed")
		h.must(CheckRetry(h.info(id), "here"))
		h.retry(id)
		h.consume(TransformConfig{In: "in"}, time.Minute)
		h.equal("state", h.show(id).State, holdfast.Done)
		h.equal("the stranger's", h.read("in/a.failed"), "a stranger's")
	})
}

func TestFailedInputThatChangedAfterItsFailureKeepsItsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.fail("in/a", "state recorded")
		h.write("in/a", "somebody mended it")
		h.clean(CleanConfig{})
		h.names("in", "a")
	})
}

// reopening is a store in which somebody retries a job just when its file was renamed.
type reopening struct {
	holdfast.Store
	shown int
	do    func()
}

func (r *reopening) Show(ctx context.Context, id holdfast.ID) (holdfast.Info, []holdfast.Attempt, error) {
	if r.shown++; r.shown == 2 {
		r.do()
	}
	return r.Store.Show(ctx, id)
}

func TestFailedInputIsNotRenamedUnderARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		id := h.fail("in/a", "state recorded")
		r := renamer{store: &reopening{Store: h.store, do: func() { h.retry(id) }}, folder: h.folder, done: func(holdfast.Info, Attachment, error) {}}
		h.must(r.settle(t.Context(), id))
		h.names("in", "a")
	})
}

func TestRenamesToAndFroNeverLoseTheFile(t *testing.T) {
	h := newHouse(t)
	h.write("in/a", "text")
	info, err := h.folder.regular("in/a")
	h.must(err)
	record := h.folder.record("in/a", info)
	var all sync.WaitGroup
	for i := range 4 {
		folder := h.open(h.dir) // as another process would
		all.Go(func() {
			for n := range 300 {
				rename := folder.setAside
				if (n+i)%2 == 0 {
					rename = folder.restore
				}
				if err := rename(t.Context(), record); err != nil && !errors.Is(err, errBusy) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	h.must(h.folder.restore(t.Context(), record))
	h.equal("the file", h.read("in/a"), "text")
	h.names("in", "a")
}

func TestAFolderInWhichSomebodyIsStuckCostsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		id := h.fail("in/a", "")
		stuck, err := h.folder.root.Open("in")
		h.must(err)
		defer stuck.Close()
		if mine, err := lock(stuck); !mine || err != nil {
			t.Skipf("no locks on folders here: %v", err)
		}
		h.retry(id)
		h.consume(TransformConfig{In: "in"}, 10*time.Second)
		job := h.show(id)
		h.equal("state, failures, attached", []any{job.State.Ended(), job.Failures, job.Attached}, []any{false, 0, true})
		h.must(stuck.Close())
		h.consume(TransformConfig{In: "in"}, 10*time.Second)
		h.equal("state", h.show(id).State, holdfast.Done)
	})
}

func TestAttachmentsOfOtherProgramsAreNotOurs(t *testing.T) {
	for _, result := range []string{"", "x", `"in/a"`, `{"path":"in/a"}`, `{"path":"../a","machine":"here","folder":"/"}`, `{"path":"in/a","machine":"here","folder":"/","more":1}`} {
		if r, ok := AttachmentOf(&holdfast.Info{Attached: true, Result: []byte(result)}); ok {
			t.Errorf("%s: %+v", result, r)
		}
	}
	good := []byte(`{"path":"in/a","size":1,"mod_time":"2026-01-02T03:04:05.000000006Z","machine":"here","folder":"/"}`)
	if _, ok := AttachmentOf(&holdfast.Info{Attached: true, Result: good}); !ok {
		t.Error("our own was not read")
	}
	if _, ok := AttachmentOf(&holdfast.Info{Result: good}); ok {
		t.Error("a result of a done job was taken for a record")
	}
}

func TestCheckRetryHasNothingAgainstWhatItCannotSee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		id := h.fail("in/a", "")
		h.must(os.Remove(h.file("in/a.failed")))
		h.must(CheckRetry(h.info(id), "another machine"))
		h.must(CheckRetry(&holdfast.Info{State: holdfast.Failed}, ""))
		h.must(os.RemoveAll(filepath.Clean(h.dir)))
		if err := CheckRetry(h.info(id), "here"); !errors.Is(err, holdfast.ErrConflict) {
			t.Errorf("folder gone: %v", err)
		}
	})
}
