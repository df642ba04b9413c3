package cli

import (
	"strings"
	"testing"

	"github.com/holdfastq/holdfast"
)

func TestActionsAskAboveOneJob(t *testing.T) {
	p := newPerson(t)
	for range 5 {
		p.ok("put", "q", `{"a":1}`)
	}
	p.fails(2, "this would cancel 5 jobs, and nobody is there to be asked; say --yes", "cancel", "--queue", "q")
	p.tty, p.in = true, "n\n"
	p.fails(1, "cancel 5 jobs? [y/N] holdfast: not confirmed; nothing was changed", "cancel", "--queue", "q")
	contains(t, p.talk, "○ waiting", `{"a":1}`, "… 5 in all")
	p.in = ""
	p.fails(1, "not confirmed", "cancel", "--queue", "q")
	p.in = "y\n"
	if got := p.ok("cancel", "--queue", "q"); got != "5 cancelled" {
		t.Errorf("got %q", got)
	}
	p.tty = false
	if got := p.ok("retry", "--state", "cancelled", "-y", "--json"); got != `{"action":"retry","changed":5,"skipped":[]}` {
		t.Errorf("got %s", got)
	}
	p.fails(3, "no job to run-now: queue:q", "run-now", "--queue", "q")
}

func TestActionsSayWhyJobsWereLeftAlone(t *testing.T) {
	p := newPerson(t)
	id := p.ok("put", "q", "1")
	_, running := p.take("q")
	other := holdfast.NewID().String()
	p.fails(7, running+" left alone: it is running; cancel it first", "delete", id)
	if got := p.ok("cancel", id); got != "1 running: asked its consumer to let go" {
		t.Errorf("cancel of a running job says %q", got)
	}
	p.fails(3, other+" left alone: it was not found", "cancel", other)
	waiting := p.ok("put", "q", "2")
	p.fails(7, "is running", "delete", id, waiting, "--yes")
	if p.out != "1 deleted, 1 skipped\n" {
		t.Errorf("got %q", p.out)
	}
	p.fails(2, "which jobs?", "retry")
	p.fails(2, "not both", "retry", id, "--queue", "q")
	p.fails(2, "use --state scheduled", "retry", "--state", "retry")
	p.fails(2, "is not an id", "retry", "abc")
}

func TestARetryWhoseKeyIsTakenIsReported(t *testing.T) {
	p := newPerson(t)
	id := p.ok("put", "q", "1", "--unique", "k")
	p.ok("cancel", id)
	p.ok("put", "q", "2", "--unique", "k")
	p.fails(7, "has a unique key that another job holds", "retry", id)
}

func TestActionsAreKeptInActivity(t *testing.T) {
	p := newPerson(t)
	p.env["USER"] = "ana"
	p.ok("cancel", p.ok("put", "q", "1"))
	p.ok("pause", "q")
	r, err := p.store.Records(t.Context(), holdfast.RecordsQuery{Activity: 10})
	if err != nil || len(r.Activity) != 2 {
		t.Fatalf("activity is %+v, %v", r.Activity, err)
	}
	for _, line := range r.Activity {
		if line.Via != "command" || !strings.HasSuffix(line.Actor, "@"+host()) {
			t.Errorf("line is %+v", line)
		}
	}
}
