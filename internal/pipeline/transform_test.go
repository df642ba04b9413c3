package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/holdfastq/holdfast"
)

const header = "made by holdfast of "

func TestTransformMakesTheSameOutputWhereverItDies(t *testing.T) {
	for _, step := range []string{"half written", "written", "in place", "folder synced"} {
		t.Run(step, func(t *testing.T) {
			h := newHouse(t)
			h.write("in/a", "some text\n")
			id := h.put("in/a")
			dying := h.transformer(TransformConfig{In: "in", step: dieAt(step)})
			for range 2 { // of every attempt that dies another may die too
				job := h.take(dying)
				if err := dying.attempt(t.Context(), job.Info, job.Data.Path); !errors.Is(err, errKilled) {
					t.Fatalf("attempt: %v", err)
				}
				if got := h.read("out/a"); got != "none" && got != header+"in/a\nSOME TEXT\n" {
					t.Fatalf("output half-written: %q", got)
				}
				h.dies(job)
			}
			after := h.transformer(TransformConfig{In: "in"})
			job := h.take(after)
			h.must(after.handle(t.Context(), job))
			h.must(job.Done(t.Context()))
			h.equal("output", h.read("out/a"), header+"in/a\nSOME TEXT\n")
			h.equal("input", h.read("in/a"), "some text\n")
			h.equal("state", h.show(id).State, holdfast.Done)
			h.names("out", "a")

			h.clean(CleanConfig{})
			h.names("out/"+partial, []string{}...)
		})
	}
}

func TestTransformProcessesFilesOfAnyName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		names := []string{
			"plain", "with space", "-rf", "--", "new\nline", "tab\there", "ünï—ço∂é 🙂", "quote\"'`$(x)", "a..b", "back\\slash", "x.FAILED",
			"x.failed.txt", "*", "\u202eright to left", strings.Repeat("n", 200),
		}
		for _, name := range names {
			h.write("in/deep er/"+name, "text of "+name)
			h.put("in/deep er/" + name)
		}
		h.consume(TransformConfig{In: "in"}, time.Minute)
		for _, name := range names {
			if got := h.read("out/deep er/" + name); !strings.HasPrefix(got, header) || !strings.HasSuffix(got, "\n"+strings.ToUpper("text of "+name)) {
				t.Errorf("%q: %q", name, got)
			}
		}
		for _, job := range h.jobs() {
			h.equal("state of "+string(job.Data), job.State, holdfast.Done)
		}
	})
}

func TestTransformRefusesWhatIsNoJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		outside := t.TempDir()
		h.must(os.WriteFile(outside+"/secret", []byte("secret"), 0o666))
		h.write("in/real", "text")
		h.write("in/x.failed", "text")
		h.write("in/.hidden", "text")
		h.write("in/holdfast.db", "text")
		h.write("out/made", "text")
		h.write("elsewhere/x", "text")
		h.must(os.Mkdir(h.file("in/folder"), 0o777))
		h.must(os.Symlink("real", h.file("in/link")))
		h.must(os.Symlink(outside+"/secret", h.file("in/linkout")))
		h.must(os.Symlink("../../"+outside+"/secret", h.file("in/linkup")))
		h.must(os.Symlink(outside, h.file("in/dirout")))
		h.must(os.Symlink("../out", h.file("in/outputs")))
		makePipe(t, h.file("in/pipe"))

		why := map[string]string{
			"":                 "needs a path",
			"in/missing":       "is not there",
			"../secret":        "leads outside",
			"in/../../secret":  "leads outside",
			"in/./real":        "another spelling",
			"in//real":         "another spelling",
			"/etc/passwd":      "is absolute",
			outside + "/x":     "is absolute",
			"in/x.failed":      "has failed already",
			"in/.hidden":       "is hidden",
			"in/holdfast.db":   "holdfast's own",
			"elsewhere/x":      "is not in in",
			"in/folder":        "is a folder",
			"in/link":          "is a symbolic link",
			"in/linkout":       "is a symbolic link",
			"in/linkup":        "is a symbolic link",
			"in/dirout/secret": "escapes",
			"in/outputs/made":  "is an output of ours",
			"in/pipe":          "is a pipe",
			"in/nul\x00":       "is no text",
		}
		ids := map[string]holdfast.ID{}
		for name := range why {
			id, err := holdfast.NewQueue[File](h.store, DefaultQueue).Put(t.Context(), File{name})
			h.must(err)
			ids[name] = id
		}
		h.consume(TransformConfig{In: "in", Engine: holdfast.Config{MaxAttempts: 2}}, 10*time.Minute)
		for name, want := range why {
			job := h.show(ids[name])
			if job.State != holdfast.Failed || !strings.Contains(job.Error, want) || job.Attached {
				t.Errorf("%q: %v, attached %v, error %q, want one with %q", name, job.State, job.Attached, job.Error, want)
			}
		}
		h.names("out", "made")
		h.names("in", ".hidden", "dirout", "folder", "holdfast.db", "link", "linkout", "linkup", "outputs", "pipe", "real", "x.failed")
	})
}

func TestTransformFailsAfterItsTriesAndRenamesTheInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.write("in/a", "text")
		id := h.put("in/a")
		tries := 0
		h.consume(TransformConfig{In: "in", Engine: holdfast.Config{MaxAttempts: 3}, Process: func(_ context.Context, _ holdfast.Info, _ string, _ io.Reader, w io.Writer) error {
			tries++
			if !h.there("in/a") {
				t.Error("renamed before the last attempt")
			}
			_, err := io.WriteString(w, "half")
			return errors.Join(err, errors.New("no"))
		}}, time.Minute)
		job := h.show(id)
		h.equal("tries, state, reason", []any{tries, job.State, job.Why}, []any{3, holdfast.Failed, holdfast.ReasonExhausted})
		h.equal("error", job.Error, "in/a: no")
		record, ok := AttachmentOf(&job)
		h.equal("record", []any{ok, record.Path, record.Size, record.Machine}, []any{true, "in/a", 4, "here"})
		h.names("in", "a.failed")
		h.names("out")
		h.names("out/"+partial, []string{}...)
	})
}

func TestTransformEndsAnAttemptAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.write("in/a", "text")
		id := h.put("in/a")
		began := time.Now()
		h.consume(TransformConfig{In: "in", Engine: holdfast.Config{MaxAttempts: 2, MaxRun: 20 * time.Second}, Process: func(ctx context.Context, _ holdfast.Info, _ string, _ io.Reader, _ io.Writer) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}}, 2*time.Minute)
		job := h.show(id)
		if took := job.EndedAt.Sub(began); job.State != holdfast.Failed || took < 40*time.Second || took > 45*time.Second || !strings.Contains(job.Error, "timed out after 20s") {
			t.Errorf("%v after %v: %s", job.State, took, job.Error)
		}
		h.names("in", "a.failed")
	})
}

func TestTransformMakesAPanicTheInputsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.write("in/a", "text")
		id := h.put("in/a")
		h.consume(TransformConfig{In: "in", Engine: holdfast.Config{MaxAttempts: 1}, Process: func(context.Context, holdfast.Info, string, io.Reader, io.Writer) error {
			panic("boom")
		}}, time.Minute)
		if job := h.show(id); !job.Attached || !strings.HasPrefix(job.Error, "in/a: panic: boom\n") {
			t.Errorf("attached %v: %s", job.Attached, job.Error)
		}
		h.names("in", "a.failed")
	})
}

func TestTransformTriesAgainWhatWasWrittenToMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.write("in/a", "first half")
		id := h.put("in/a")
		h.consume(TransformConfig{In: "in", Process: func(ctx context.Context, job holdfast.Info, name string, in io.Reader, out io.Writer) error {
			if job.Attempt == 1 {
				h.write("in/a", "first half, second half")
			}
			return Upper(ctx, job, name, in, out)
		}}, time.Minute)
		_, attempts, err := h.store.Show(t.Context(), id)
		h.must(err)
		if len(attempts) != 2 || !strings.Contains(attempts[0].Error, "was written to while it was read") {
			t.Errorf("attempts: %+v", attempts)
		}
		h.equal("output", h.read("out/a"), header+"in/a\nFIRST HALF, SECOND HALF")
	})
}

func TestTransformOfALostJobKeepsNothing(t *testing.T) {
	h := newHouse(t)
	h.write("in/a", "text")
	h.put("in/a")
	ctx, cancel := context.WithCancelCause(t.Context())
	tr := h.transformer(TransformConfig{In: "in", step: func(step string) error {
		if step == "written" {
			cancel(holdfast.ErrLeaseLost)
		}
		return nil
	}})
	if err := tr.handle(ctx, h.take(tr)); !errors.Is(err, holdfast.ErrLeaseLost) {
		t.Errorf("attempt: %v", err)
	}
	h.names("out")
	h.names("out/"+partial, []string{}...)
}

func TestTransformPacesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		for i := range 20 {
			h.write(fmt.Sprintf("f%d", i), "text")
			h.put(fmt.Sprintf("f%d", i))
		}
		var mu sync.Mutex
		var at []time.Time
		h.consume(TransformConfig{Engine: holdfast.Config{Concurrency: 1, Pace: Pace(7*time.Second, 15*time.Second)}, Process: func(ctx context.Context, job holdfast.Info, name string, in io.Reader, out io.Writer) error {
			mu.Lock()
			at = append(at, time.Now())
			mu.Unlock()
			return Upper(ctx, job, name, in, out)
		}}, 10*time.Minute)
		h.equal("processed", len(at), 20)
		for i := 1; i < len(at); i++ {
			if gap := at[i].Sub(at[i-1]); gap < 7*time.Second || gap > 16*time.Second {
				t.Errorf("gap %v, want 7 s to 15 s", gap)
			}
		}
	})
}

func TestTransformReadsNothingThroughASwappedLink(t *testing.T) {
	h := newHouse(t)
	outside := t.TempDir()
	h.must(os.WriteFile(outside+"/secret", []byte("secret"), 0o666))
	h.write("in/mine", "mine")
	h.write("out/other", "other") // inside, but a link to it is no file of ours either
	var stop atomic.Bool
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for i := 0; !stop.Load(); i++ {
			target := outside + "/secret"
			if i%2 == 0 {
				target = "../out/other"
			}
			_ = os.Remove(h.file("in/.new"))
			_ = os.Symlink(target, h.file("in/.new"))
			_ = os.Rename(h.file("in/.new"), h.file("in/a"))
			_ = os.Link(h.file("in/mine"), h.file("in/.new"))
			_ = os.Rename(h.file("in/.new"), h.file("in/a"))
			_ = os.Remove(h.file("in/a")) // two names of one file do not replace each other
		}
	})
	read, refused := 0, 0
	for range 30_000 {
		file, _, err := h.folder.open("in/a")
		if err != nil {
			refused++
			continue
		}
		text, err := io.ReadAll(file)
		file.Close()
		if err != nil || string(text) != "mine" {
			t.Fatalf("read %q, %v", text, err)
		}
		read++
	}
	stop.Store(true)
	swapping.Wait()
	t.Logf("%d read, %d refused", read, refused)
	if refused == 0 {
		t.Error("nothing was ever swapped")
	}
}

func TestTransformSaysWhatIsWrongWithItsConfig(t *testing.T) {
	h := newHouse(t)
	for _, c := range []TransformConfig{{Out: "."}, {In: "a", Out: "a"}, {Out: "../x"}, {Out: "/x"}, {In: ".."}, {Queue: "no spaces"}, {Engine: holdfast.Config{Concurrency: -1}}} {
		c.Engine.Logger = quietLogger
		if err := Transform(t.Context(), h.store, h.folder, c); !errors.Is(err, holdfast.ErrInvalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestUpperKeepsWhatIsNoText(t *testing.T) {
	raw := append([]byte("straße \xff\xfe é\x00\n"), bytes.Repeat([]byte("añ\xc3"), 50_000)...)
	want := header + "\"in/a\\nb\"\n" + strings.ReplaceAll(strings.ToUpper("straße \x01\x02 é\x00\n"), "\x01\x02", "\xff\xfe") + strings.Repeat("AÑ\xc3", 50_000)
	var out bytes.Buffer
	if err := Upper(t.Context(), holdfast.Info{}, "in/a\nb", iotest.HalfReader(bytes.NewReader(raw)), &out); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("got %.80q…, want %.80q…", out.String(), want)
	}
	if err := Upper(t.Context(), holdfast.Info{}, "x", iotest.ErrReader(io.ErrUnexpectedEOF), io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error of the input: %v", err)
	}
}
