package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfastq/holdfast"
)

const keep = time.Hour

func TestCleanRemovesAFailedFileOnlyWithItsJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.write("in/stranger.failed", "not ours")
		h.write("stranger.failed", "not ours")
		id := h.fail("in/a", "")
		time.Sleep(keep - 2*time.Minute)
		h.equal("removed too early", h.clean(CleanConfig{Keep: keep}), 0)
		h.names("in", "a.failed", "stranger.failed")
		time.Sleep(2 * time.Minute)
		h.equal("removed", h.clean(CleanConfig{Keep: keep}), 1)
		h.names("in", "stranger.failed")
		h.equal("the job is gone", h.gone(id), true)
		h.equal("a stranger's", h.read("stranger.failed"), "not ours")
		h.equal("removed again", h.clean(CleanConfig{Keep: keep}), 0)

		records, err := h.store.Records(t.Context(), holdfast.RecordsQuery{Activity: 1})
		h.must(err)
		h.equal("actor", records.Activity[0].Actor, "cleaner")
	})
}

func TestCleanGoesOnWhereACleanerDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		id := h.fail("in/a", "")
		time.Sleep(keep)
		_, err := CleanOnce(t.Context(), h.store, h.folder, CleanConfig{Keep: keep, Logger: quietLogger, step: dieAt("file removed")})
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		h.names("in")
		h.equal("the job is gone too early", h.gone(id), false)
		h.equal("removed", h.clean(CleanConfig{Keep: keep}), 1)
		h.equal("the job is gone", h.gone(id), true)
	})
}

func TestCleanLeavesAloneWhatIsNotRecorded(t *testing.T) {
	table := map[string]struct {
		mend func(h *house)
		gone bool // the job
		left []string
	}{
		"changed":   {func(h *house) { h.write("in/a.failed", "other") }, true, []string{"a.failed"}},
		"same size": {func(h *house) { h.must(os.Chtimes(h.file("in/a.failed"), time.Time{}, time.Unix(1, 0))) }, true, []string{"a.failed"}},
		"a link":    {func(h *house) { h.swapForLink() }, true, []string{"a.failed", "b"}},
		"a folder": {func(h *house) {
			h.must(os.Remove(h.file("in/a.failed")))
			h.must(os.Mkdir(h.file("in/a.failed"), 0o777))
		}, true, []string{"a.failed"}},
		"removed before": {func(h *house) { h.must(os.Remove(h.file("in/a.failed"))) }, true, nil},
		"renamed back":   {func(h *house) { h.write("in/a", "mended"); h.must(os.Remove(h.file("in/a.failed"))) }, true, []string{"a"}},
		"folder moved": {func(h *house) {
			h.must(os.Rename(h.dir, h.dir+"-moved"))
			h.dir += "-moved"
			h.folder = h.open(h.dir)
		}, true, nil},
		"elsewhere": {func(h *house) {
			h.dir = h.TempDir() // the same store, another folder: what is missing here is there
			h.folder = h.open(h.dir)
			h.write("in/b.failed", "")
		}, false, []string{"b.failed"}},
	}
	for name, c := range table {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t)
				id := h.fail("in/a", "")
				c.mend(h)
				time.Sleep(keep)
				h.clean(CleanConfig{Keep: keep})
				h.equal("the job is gone", h.gone(id), c.gone)
				h.names("in", c.left...)
			})
		})
	}
}

func TestCleanTakesNothingThatSomebodyRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		id := h.fail("in/a", "")
		time.Sleep(keep)
		job := h.show(id)
		h.retry(id)
		c, err := CleanConfig{Keep: keep, Logger: quietLogger}.withDefaults()
		h.must(err)
		h.must(newCleaner(h.store, h.folder, c).expire(t.Context(), job)) // it has an old page in hand
		h.equal("removed", h.clean(CleanConfig{Keep: keep}), 0)
		h.names("in", "a.failed")
		h.consume(TransformConfig{In: "in"}, time.Minute)
		h.equal("state", h.show(id).State, holdfast.Done)
	})
}

func TestCleanRemovesWhatWasReopenedAndCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		id := h.fail("in/a", "")
		h.retry(id)
		_, err := holdfast.NewOperator(h.store, "test").Cancel(t.Context(), holdfast.Filter{IDs: []holdfast.ID{id}})
		h.must(err)
		h.clean(CleanConfig{Keep: keep})
		h.names("in", "a.failed")
		time.Sleep(keep + time.Second)
		h.equal("removed", h.clean(CleanConfig{Keep: keep}), 1)
		h.names("in")
	})
}

func TestCleanKeepsTenMinutesAtLeastAndForeverIfAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.fail("in/a", "")
		time.Sleep(8 * time.Minute)
		h.equal("before 10 min", h.clean(CleanConfig{Keep: holdfast.No}), 0)
		time.Sleep(100 * 24 * time.Hour)
		h.equal("forever", h.clean(CleanConfig{Keep: holdfast.Forever}), 0)
		h.equal("after 10 min", h.clean(CleanConfig{Keep: holdfast.No}), 1)
	})
}

func TestCleanLooksOnlyAtItsQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.fail("in/a", "state recorded")
		h.clean(CleanConfig{Queues: []string{"other"}})
		h.names("in", "a")
	})
}

func TestCleanRemovesWhatADeadAttemptWasWriting(t *testing.T) {
	h := newHouse(t)
	h.write("in/a", "text")
	h.put("in/a")
	dying := h.transformer(TransformConfig{In: "in", step: dieAt("half written")})
	job := h.take(dying)
	if err := dying.handle(t.Context(), job); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	mine := fmt.Sprintf("%v-%d", job.ID, job.Info.Fence)
	h.write("out/"+partial+"/stranger", "not ours")
	h.write("out/"+partial+"/"+holdfast.NewID().String()+"-1x", "not ours")
	h.clean(CleanConfig{})
	h.equal("while it may be alive", h.there("out/"+partial+"/"+mine), true)
	h.dies(job)
	next := h.take(dying) // another delivery is at work now
	h.clean(CleanConfig{})
	h.equal("after its death", h.there("out/"+partial+"/"+mine), false)
	if entries, _ := os.ReadDir(h.file("out/" + partial)); len(entries) != 2 {
		t.Errorf("%d left, want the 2 of strangers", len(entries))
	}
	h.must(next.Done(t.Context()))
}

func TestCleanLooksEachThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.fail("in/a", "state recorded")
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		h.must(Clean(ctx, h.store, h.folder, CleanConfig{Logger: quietLogger}))
		h.names("in", "a.failed")
	})
}

func TestCleanSaysWhatIsWrongWithItsConfig(t *testing.T) {
	h := newHouse(t)
	for _, c := range []CleanConfig{{Queues: []string{"no spaces"}}, {Outs: []string{".."}}, {Every: -1}} {
		if err := Clean(t.Context(), h.store, h.folder, c); !errors.Is(err, holdfast.ErrInvalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	h.must(h.store.Close())
	if err := Clean(t.Context(), h.store, h.folder, CleanConfig{Every: time.Nanosecond}); !errors.Is(err, holdfast.ErrClosed) {
		t.Errorf("closed store: %v", err)
	}
}
