package cli

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfastq/holdfast"
)

func TestALeaseThatEndedGoesToTheNextAndTheFirstIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPerson(t)
		id := p.ok("put", "greet", `{"name":"Ada"}`)
		first, _ := p.take("greet", "--lease", "1m")
		contains(t, p.talk, "(1 min)", first)
		p.fails(4, "nothing to take from queue greet within 5 s: 1 running, 0 scheduled", "get", "greet", "--wait", "5s")
		second, again := p.take("greet", "--wait", "2m")
		if again != id || second == first {
			t.Fatalf("got lease %s of job %s after %s of job %s", second, again, first, id)
		}
		p.fails(6, "lease lost: ", "done", first)
		contains(t, p.talk, "has the job since", "attempt 2", "@")
		p.fails(6, "has the job since", "extend", first)
		p.fails(6, "has the job since", "fail", first)
		p.fails(6, "has the job since", "release", first)
		p.ok("done", second)
		p.fails(6, "lease lost: the job is done since ", "done", first)
		if got := p.ok("done", second); got != "done" {
			t.Errorf("a repeated done says %q", got)
		}
		p.ok("delete", id)
		p.fails(6, "there is no job "+id, "done", second)
	})
}

func TestALeaseThatEndedIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPerson(t)
		id := p.ok("put", "q", "1")
		lease, _ := p.take("q", "--lease", "1m")
		<-time.After(63 * time.Second) // of the bubble's clock
		contains(t, p.ok("show", id), "lease ended 3 s ago, not given back yet: holdfast manager, or any get, does it")
		contains(t, p.ok("ls"), "lease ended 3 s ago, not given back yet: see show")
		p.ok("manager", "--once")
		p.fails(6, "; it had ended by ", "done", lease)
		contains(t, p.talk, "use get --lease, or extend")
		contains(t, p.ok("show", id), ": lost, held 1 min 3 s\n  its lease ended without a report")
		contains(t, p.ok("ls"), " –")
	})
}

func TestALeaseIsReadAsItComesToHand(t *testing.T) {
	p := newPerson(t)
	p.ok("put", "q", "1", "--max-attempts", "2")
	line := p.ok("get", "q", "--json")
	contains(t, line, `"attempt":1,"failures":0,"max_attempts":2`)
	p.ok("extend", line)
	if got := p.ok("done", line+"\n"); got != "done" {
		t.Errorf("done with the line that get printed says %q", got)
	}
	p.fails(2, "stdin was empty; did get find a job? (exit code 3)", "done", "-")
	p.fails(2, "the lease was empty; did get find a job? (exit code 3)", "done", "")
	id := holdfast.NewID().String()
	p.fails(2, id+" is the job's id; a lease has _N after it", "done", id)
	p.fails(3, "there is no queue p; there are: q", "get", "p")
	p.fails(3, "there is no queue p; there are: q", "retry", "--queue", "p")
}

func TestGetWaitsForAPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, producer := newPerson(t), newPerson(t)
		producer.store = p.store
		go func() {
			time.Sleep(20 * time.Second) // of the bubble's clock
			producer.ok("put", "q", "7")
		}()
		begun := time.Now()
		p.take("q", "--wait", "30s")
		if took := time.Since(begun); took != 20*time.Second {
			t.Errorf("got the job after %v", took)
		}
		synctest.Wait()
	})
}

func TestFailSaysWhatComesOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPerson(t)
		id := p.ok("put", "q", "1")
		lease, _ := p.take("q")
		contains(t, p.ok("fail", lease, "--cause", "no such customer"), "retry in ", "s, failure 1 of 3")
		contains(t, p.ok("ls"), "↻ retry", "no such customer")
		lease, _ = p.take("q", "--wait", "10s")
		contains(t, p.ok("fail", lease), "retry in ", "failure 2 of 3")
		lease, _ = p.take("q", "--wait", "10s")
		if got := p.ok("fail", lease); got != "failed for good, failure 3 of 3" {
			t.Errorf("the last attempt says %q", got)
		}
		contains(t, p.ok("show", id), "✕ failed: no attempts left", "attempt 3 on ", "no such customer")
		p.ok("retry", id)
		contains(t, p.ok("show", id), "attempts   3, 3 failed; failures counted since the retry: 0\n")
		lease, _ = p.take("q")
		if got := p.ok("fail", lease, "--final"); got != "failed for good" {
			t.Errorf("--final says %q", got)
		}
		p.ok("put", "own", "1", "--max-attempts", "1")
		lease, _ = p.take("own")
		if got := p.ok("fail", lease); got != "failed for good, failure 1 of 1" {
			t.Errorf("the job's own bound says %q", got)
		}
	})
}

func TestReleaseCostsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPerson(t)
		p.ok("put", "q", "1")
		lease, _ := p.take("q")
		if got := p.ok("release", lease, "--after", "5m"); got != "given back, due in 5 min" {
			t.Errorf("release says %q", got)
		}
		p.fails(3, "0 running, 1 scheduled", "get", "q")
		p.fails(6, "lease lost: the job is scheduled (released), due in 5 min", "done", lease)
		lease, _ = p.take("q", "--wait", "6m")
		if got := p.ok("release", lease); got != "given back" {
			t.Errorf("release says %q", got)
		}
		var v jobView
		p.ok("ls", "--jsonl")
		if err := json.Unmarshal([]byte(p.out), &v); err != nil || v.Failures != 0 || v.State != "waiting" || v.Why != "released" {
			t.Errorf("after two releases: %+v, %v", v, err)
		}
	})
}

func TestACancelIsAskedOfTheHolder(t *testing.T) {
	p := newPerson(t)
	id := p.ok("put", "q", "1")
	lease, _ := p.take("q")
	p.ok("cancel", id)
	p.ok("extend", lease, "--lease", "2m")
	contains(t, p.talk, "somebody wants this job cancelled")
	contains(t, p.ok("show", id), "asked for ")
	if got := p.ok("fail", lease); got != "cancelled: somebody had asked for it" {
		t.Errorf("fail after a cancel says %q", got)
	}
}

// broken is a stdout that nobody reads.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestAJobThatCannotBePrintedIsGivenBack(t *testing.T) {
	p := newPerson(t)
	p.ok("put", "q", "1")
	a := &app{in: strings.NewReader(""), out: broken{}, talk: broken{}, env: func(string) string { return "" }}
	a.open = func(_ context.Context, _ string, _ bool) (holdfast.Store, bool, error) {
		return keptOpen{p.store}, false, nil
	}
	if code := a.run(t.Context(), []string{"get", "q"}); code != 1 {
		t.Fatalf("exit code %d, want 1", code)
	}
	contains(t, p.ok("ls"), "○ waiting")
}

func TestAttemptsShowTheHostOfWhoTookByCommand(t *testing.T) {
	p := newPerson(t)
	id := p.ok("put", "q", "1")
	p.take("q")
	var v jobView
	p.ok("show", id, "--json")
	if err := json.Unmarshal([]byte(p.out), &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Attempts) != 1 || v.Attempts[0].Host != host() || v.Consumer == "" {
		t.Errorf("the attempt is %+v of consumer %q", v.Attempts, v.Consumer)
	}
	records, err := p.store.Records(t.Context(), holdfast.RecordsQuery{Consumers: true})
	if err != nil || len(records.Consumers) != 1 || !records.Consumers[0].Unattended {
		t.Errorf("consumers are %+v, %v", records.Consumers, err)
	}
}

func TestGetGivesBackEndedLeasesOfABusyQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPerson(t)
		for range 20 {
			p.ok("put", "q", "1")
		}
		_, left := p.take("q", "--lease", "2s")
		for range 10 {
			<-time.After(time.Second)
			lease, id := p.take("q")
			if id == left {
				return
			}
			p.ok("done", lease)
		}
		t.Error("8 s after its lease had ended the job was given to nobody, because others were waiting")
	})
}
