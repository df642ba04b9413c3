//go:build unix

package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
)

// putData puts a job with any data.
func (h *house) putData(data string, opts ...holdfast.PutOption) holdfast.ID {
	h.Helper()
	id, err := holdfast.NewQueue[json.RawMessage](h.store, DefaultQueue).Put(h.Context(), json.RawMessage(data), opts...)
	h.must(err)
	return id
}

// command runs a shell script as consumer until a number of attempts have ended.
func (h *house) command(attempts int, c CommandConfig, script string, args ...string) {
	h.Helper()
	h.must(h.tryCommand(attempts, c, script, args...))
}

func (h *house) tryCommand(attempts int, c CommandConfig, script string, args ...string) error {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), 20*time.Second)
	defer cancel()
	if c.Command == nil {
		c.Command = append([]string{"sh", "-euc", script, "sh"}, args...)
	}
	c.Engine.Logger = quietLogger
	c.KillAfter = orDefault(c.KillAfter, 200*time.Millisecond)
	c.Engine.Backoff = holdfast.Backoff(time.Millisecond, time.Millisecond)
	c.Engine.Finished = func(holdfast.Info, holdfast.Finished) {
		if attempts--; attempts == 0 {
			cancel()
		}
	}
	err := Command(ctx, h.store, h.folder, c)
	if attempts > 0 {
		h.Errorf("%d attempts are missing", attempts)
	}
	return err
}

// attempt gives the latest attempt of a job.
func (h *house) attempt(id holdfast.ID) holdfast.Attempt {
	h.Helper()
	_, attempts, err := h.store.Show(h.Context(), id)
	h.must(err)
	if len(attempts) == 0 {
		h.Fatalf("job %v has no attempt", id)
	}
	return attempts[len(attempts)-1]
}

func TestWhatACommandAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		script   string
		attempts int
		state    holdfast.State
		why      holdfast.Reason
		err      string
	}{
		"done":          {"exit 0", 1, holdfast.Done, "", ""},
		"for good":      {"echo 'not a picture' >&2; exit 65", 1, holdfast.Failed, holdfast.ReasonPermanent, "exit 65: not a picture"},
		"again":         {"exit 75", 1, holdfast.Scheduled, holdfast.ReasonReleased, ""},
		"failed":        {"echo out; exit 3", 3, holdfast.Failed, holdfast.ReasonExhausted, "exit 3"},
		"with a reason": {"echo one >&2; printf 'the \\033[31mdisk is full' >&2; exit 1", 3, holdfast.Failed, holdfast.ReasonExhausted, "exit 1: the  [31mdisk is full"},
		"killed":        {"kill -KILL $$", 3, holdfast.Failed, holdfast.ReasonExhausted, "ended by SIGKILL"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			id := h.putData(`{"n":1}`)
			h.command(c.attempts, CommandConfig{}, c.script)
			job := h.show(id)
			if job.State != c.state || job.Why != c.why || job.Error != c.err {
				t.Errorf("got %v (%v) %q, want %v (%v) %q", job.State, job.Why, job.Error, c.state, c.why, c.err)
			}
		})
	}
}

func TestACommandThatIsNotThere(t *testing.T) {
	h := newHouse(t)
	for _, command := range [][]string{nil, {""}, {"no-such-program"}, {"./nowhere"}} {
		err := Command(t.Context(), h.store, h.folder, CommandConfig{Command: command})
		if err == nil || !strings.Contains(err.Error(), "invalid") {
			t.Errorf("%q: got %v", command, err)
		}
	}
}

func TestDataReachesACommand(t *testing.T) {
	h := newHouse(t)
	data := `{"name":"Ada","path":"../../etc/passwd"}`
	id := h.putData(data)
	h.command(1, CommandConfig{Store: "/the/store"}, `
		cat > stdin
		cat "$1" > file
		cat "$HOLDFAST_IN" > env-file
		env | grep ^HOLDFAST_ | sort > env
		pwd > pwd
	`, "{in}")
	h.equal("stdin", h.read("stdin"), data+"\n")
	h.equal("file", h.read("file"), data)
	h.equal("file by the environment", h.read("env-file"), data)
	h.equal("folder", h.read("pwd"), h.folder.Name()+"\n")
	env := h.read("env")
	for _, want := range []string{
		"HOLDFAST_JOB_ID=" + id.String(), "HOLDFAST_QUEUE=files", "HOLDFAST_ATTEMPT=1", "HOLDFAST_ATTEMPTS=3",
		"HOLDFAST_LEASE=" + id.String() + "_1", "HOLDFAST_FENCE=1", "HOLDFAST_STORE=/the/store", "HOLDFAST_IN=" + h.folder.Name(),
	} {
		if !strings.Contains(env, want) {
			t.Errorf("%s is missing in:\n%s", want, env)
		}
	}
	if strings.Contains(env, "HOLDFAST_OUT") {
		t.Errorf("there is an output: %s", env)
	}
	h.names(".holdfast/work")
}

func TestFilesReachACommand(t *testing.T) {
	h := newHouse(t)
	names := []string{"in/plain.txt", "in/deep/er.txt", "in/two words.txt", "in/-n", "in/new\nline", "in/ünï", "in/$(id);`id`", "top"}
	var ids []holdfast.ID
	for _, name := range names {
		h.write(name, "text of "+name)
		ids = append(ids, h.put(name))
	}
	h.command(len(names), CommandConfig{Out: "text", Then: "next", Engine: holdfast.Config{Concurrency: 3}}, `test "$2" = "$HOLDFAST_OUT"; tr a-z A-Z < "$1" > "$2"`, "{in}", "{out}")
	for i, name := range names {
		out := "text/" + strings.TrimPrefix(name, "in/")
		h.equal(out, h.read(out), strings.ToUpper("text of ")+strings.Map(upper, name))
		h.equal("state", h.show(ids[i]).State.String(), "done")
	}
	h.names("text/.partial")
	next := map[string]bool{}
	for _, j := range h.jobs() {
		if j.Queue == "next" {
			next[string(j.Data)] = true
		}
	}
	if len(next) != len(names) || !next[`{"path":"text/deep/er.txt"}`] {
		t.Errorf("the next step got %v", next)
	}
}

// upper is what tr a-z A-Z makes of a character.
func upper(r rune) rune {
	if 'a' <= r && r <= 'z' {
		return r - 'a' + 'A'
	}
	return r
}

func TestFilesThatAreNoJobs(t *testing.T) {
	h := newHouse(t)
	h.write("out/made", "x")
	h.write("in/.hidden", "x")
	h.write("in/a.failed", "x")
	h.must(os.Symlink("/etc/passwd", h.file("link")))
	h.must(os.Symlink("/etc", h.file("etc")))
	h.must(os.Mkdir(h.file("folder"), 0o777))
	for name, why := range map[string]string{
		"out/made": "an output of ours", "in/.hidden": "hidden", "in/a.failed": "failed already", "link": "a symbolic link", "folder": "a folder",
		"missing": "is not there",
	} {
		id := h.putData(`{"path":"` + name + `"}`)
		h.command(1, CommandConfig{}, `echo ran >> ran; cp "$1" "$2"`, "{in}", "{out}")
		if job := h.show(id); job.State != holdfast.Failed || !strings.Contains(job.Error, why) {
			t.Errorf("%s: got %v, %q, want %q", name, job.State, job.Error, why)
		}
	}
	id := h.putData(`{"path":"etc/passwd"}`, holdfast.MaxAttempts(1))
	h.command(1, CommandConfig{}, `echo ran >> ran; cp "$1" "$2"`, "{in}", "{out}")
	if job := h.show(id); job.State != holdfast.Failed {
		t.Errorf("a link that leads outside: got %v", job.State)
	}
	h.equal("runs", h.read("ran"), "none")
}

func TestAFailedInputIsRenamedAndBack(t *testing.T) {
	h := newHouse(t)
	h.write("in/a", "x")
	id := h.put("in/a")
	h.command(1, CommandConfig{}, "exit 65")
	h.names("in", "a.failed")
	h.retry(id)
	h.command(1, CommandConfig{}, "exit 0")
	h.names("in", "a")
	h.equal("state", h.show(id).State.String(), "done")
}

func TestAnOutputIsNeverSeenHalfWritten(t *testing.T) {
	h := newHouse(t)
	h.write("out/a", "old")
	h.write("in/a", "x")
	id := h.put("in/a")
	h.command(3, CommandConfig{}, `printf half > "$1"; cat out/a >> seen; exit 1`, "{out}")
	h.equal("output of a failure", h.read("out/a"), "old")
	h.equal("seen meanwhile", h.read("seen"), "oldoldold")
	h.names("out/.partial")

	h.retry(id)
	h.command(3, CommandConfig{}, `: "$1"`, "{out}")
	h.equal("reason", h.show(id).Error, "exit 0, but nothing was written to {out}")
	h.equal("no output", h.read("out/a"), "old")

	h.retry(id)
	h.command(3, CommandConfig{}, `ln -s /etc/passwd "$1"`, "{out}")
	h.equal("a link as output", h.read("out/a"), "old")

	h.retry(id)
	h.command(3, CommandConfig{}, `printf new > "$2"; printf more >> "$1"`, "{in}", "{out}")
	h.equal("an input that changed", h.read("out/a"), "old")
	if job := h.show(id); !strings.Contains(job.Error, "was written to while") {
		t.Errorf("got %q", job.Error)
	}
}

func TestDirectives(t *testing.T) {
	h := newHouse(t)
	id := h.putData(`1`)
	h.command(1, CommandConfig{Then: "last"}, `
		echo "::progress 40 page 2/5"
		echo '::result {"pages": 5}'
		echo '::put next {"page": 1}'
		echo '::put next "two"'
		echo '::group::of others'
		echo ::progress
		echo ordinary
		echo '::put next 3' >&2
	`)
	job := h.show(id)
	h.equal("state", job.State.String(), "done")
	h.equal("result", string(job.Result), `{"pages":5}`)
	got := map[string]string{}
	for _, j := range h.jobs() {
		if j.ID != id {
			got[j.Queue] += string(j.Data)
			h.equal("parent", j.Parent.String(), id.String())
		}
	}
	if (got["next"] != `{"page":1}"two"` && got["next"] != `"two"{"page":1}`) || got["last"] != `{"pages":5}` {
		t.Errorf("put were %v", got)
	}
	log := string(h.attempt(id).Log)
	if want := "::group::of others\n::progress\nordinary\n"; !strings.Contains(log, want) || !strings.Contains(log, "::put next 3\n") || strings.Contains(log, "two") {
		t.Errorf("log is %q, want %q in it", log, want)
	}
	if !strings.Contains(log, "[exit 0 after ") {
		t.Errorf("log is %q", log)
	}
}

func TestWhatAFailedAttemptPutIsNotThere(t *testing.T) {
	h := newHouse(t)
	id := h.putData(`1`)
	h.command(3, CommandConfig{Then: "last"}, `echo '::put next 1'; echo '::result 2'; exit 1`)
	h.equal("state", h.show(id).State.String(), "failed")
	h.equal("jobs", len(h.jobs()), 1)
}

func TestDirectivesThatCannotBeObeyedFailTheAttempt(t *testing.T) {
	for line, want := range map[string]string{
		`::result {no`:      "it said ::result that is no JSON",
		`::put next {no`:    "it said ::put next with data that is no JSON",
		`::put 'a b' 1`:     "it said ::put",
		`::put next`:        "it said ::put next with data that is no JSON",
		`::put next/door 1`: "it said ::put: put in queue next/door",
	} {
		h := newHouse(t)
		id := h.putData(`1`)
		h.command(3, CommandConfig{}, `echo "$1"`, line)
		if job := h.show(id); job.State != holdfast.Failed || !strings.Contains(job.Error, want) {
			t.Errorf("%s: got %v, %q", line, job.State, job.Error)
		}
	}
	h := newHouse(t)
	id := h.putData(`1`)
	h.command(3, CommandConfig{}, `printf '::result "'; head -c 2000000 /dev/zero | tr '\0' x; echo '"'`)
	if job := h.show(id); !strings.Contains(job.Error, "::result with more than 1048576 bytes") {
		t.Errorf("got %q", job.Error)
	}
}

func TestALargeResultIsWhole(t *testing.T) {
	h := newHouse(t)
	id := h.putData(`1`)
	h.command(1, CommandConfig{}, `printf '::result "'; head -c 1000000 /dev/zero | tr '\0' x; echo '"'`)
	if job := h.show(id); len(job.Result) != 1000002 {
		t.Errorf("%v, %d bytes: %s", job.State, len(job.Result), job.Error)
	}
}

func TestTooLongIsEnded(t *testing.T) {
	h := newHouse(t)
	id := h.putData(`1`, holdfast.MaxAttempts(1))
	began := time.Now()
	h.command(1, CommandConfig{Engine: holdfast.Config{MaxRun: 200 * time.Millisecond}}, `trap '' TERM; echo begun; setsid sleep 61.5 & while :; do sleep 60; done`)
	job := h.show(id)
	if job.State != holdfast.Failed || !strings.Contains(job.Error, "timed out after 200ms: ended by SIGKILL") {
		t.Errorf("got %v, %q", job.State, job.Error)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if log := string(h.attempt(id).Log); !strings.Contains(log, "begun\n") || !strings.Contains(log, "by force") {
		t.Errorf("log is %q", log)
	}
	if out, err := exec.Command("pgrep", "-f", "^sleep 61.5").Output(); err == nil {
		t.Errorf("left is %s", out)
	}
}

func TestACancelledJobIsEnded(t *testing.T) {
	h := newHouse(t)
	id := h.putData(`1`)
	r, w, err := os.Pipe()
	h.must(err)
	defer r.Close()
	var all sync.WaitGroup
	all.Go(func() {
		b := make([]byte, 1)
		if _, err := r.Read(b); err != nil {
			t.Error(err)
			return
		}
		_, err := holdfast.NewOperator(h.store, "test").Cancel(t.Context(), holdfast.Filter{IDs: []holdfast.ID{id}})
		if err != nil {
			t.Error(err)
		}
	})
	h.command(1, CommandConfig{Talk: w}, `echo begun; exec sleep 60`)
	all.Wait()
	w.Close()
	h.equal("state", h.show(id).State.String(), "cancelled")
}

// TestAStopGivesBack: after Grace a command is ended, and its job costs no attempt, whatever it answered.
func TestAStopGivesBack(t *testing.T) {
	h := newHouse(t)
	id := h.putData(`1`)
	ctx, cancel := context.WithCancel(t.Context())
	talk := writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("begun")) {
			cancel()
		}
		return len(p), nil
	})
	h.must(Command(ctx, h.store, h.folder, CommandConfig{
		Command: []string{"sh", "-c", "trap 'exit 0' TERM; echo begun; while :; do sleep 60; done"}, Talk: talk, Engine: holdfast.Config{Grace: holdfast.No},
	}))
	job := h.show(id)
	if job.State != holdfast.Waiting || job.Failures != 0 || job.Why != holdfast.ReasonReleased {
		t.Errorf("got %v (%v), %d failures", job.State, job.Why, job.Failures)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestWhatADeadConsumerLeftIsCleared(t *testing.T) {
	h := newHouse(t)
	for _, dir := range []string{".holdfast/work", "out/.partial"} {
		h.write(dir+"/command-DEAD/x/y", "half")
		h.write(dir+"/others/x", "not ours")
		alive, err := openWorkshop(t.Context(), h.folder, dir)
		h.must(err)
		defer alive.close()
		h.write(alive.name+"/z", "half")
		h.putData(`1`)
		h.command(1, CommandConfig{Out: "out"}, "true")
		if h.there(dir+"/command-DEAD") || !h.there(dir+"/others/x") || !h.there(alive.name+"/z") {
			t.Errorf("%s: left are %v", dir, h.list(dir))
		}
	}
}

func (h *house) list(dir string) (names []string) {
	h.Helper()
	entries, err := os.ReadDir(filepath.Join(h.dir, dir))
	h.must(err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestMuchOutputOfACommand(t *testing.T) {
	h := newHouse(t)
	id := h.putData(`1`)
	began := time.Now()
	slow := writerFunc(func(p []byte) (int, error) { return len(p), nil })
	h.command(1, CommandConfig{Talk: slow}, `yes 0123456789012345678901234567890123456789 | head -c 30000000; echo; echo last`)
	if log := string(h.attempt(id).Log); len(log) > holdfast.MaxLogBytes || len(log) < holdfast.MaxLogBytes-1024 || !strings.Contains(log, "\nlast\n[exit 0") {
		t.Errorf("the log has %d bytes and ends with %q", len(log), log[max(0, len(log)-100):])
	}
	t.Logf("30 MB: %v", time.Since(began))
}
