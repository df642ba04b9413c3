package cli

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/holdfastq/holdfast"
)

func TestEveryErrorHasItsExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything"), 1},
		{errInterrupted, 1},
		{holdfast.ErrStopping, 1},
		{errUsage, 2},
		{usagef("no"), 2},
		{holdfast.ErrInvalid, 2},
		{holdfast.ErrNotFound, 3},
		{holdfast.ErrEmpty, 3},
		{holdfast.ErrTimedOut, 4},
		{context.DeadlineExceeded, 4},
		{errNoStore, 5},
		{holdfast.ErrClosed, 5},
		{holdfast.ErrLeaseLost, 6},
		{holdfast.ErrConflict, 7},
		{holdfast.ErrDuplicate, 7},
		{holdfast.ErrTooLarge, 7},
		{holdfast.ErrCancelled, 7},
		{holdfast.ErrUnusable, 8},
		{holdfast.ErrCorrupt, 8},
		{holdfast.ErrUnknown, 9},
		{fmt.Errorf("%w: %w", context.DeadlineExceeded, holdfast.ErrUnknown), 9},
		{errors.Join(holdfast.ErrNotFound, holdfast.ErrConflict), 7},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("exitCode(%v) = %d, want %d", c.err, got, c.want)
		}
		if c.err == nil {
			continue
		}
		for _, wrapped := range []error{fmt.Errorf("put in queue q: %w", c.err), told{c.err}, &remedy{c.err, "do this"}} {
			if got := exitCode(wrapped); got != c.want {
				t.Errorf("exitCode(%#v) = %d, want %d", wrapped, got, c.want)
			}
		}
	}
}

func TestHelpPrintsEveryExitCode(t *testing.T) {
	help := newPerson(t).ok("help", "exit-codes")
	for i, e := range exits {
		if e.code != i {
			t.Errorf("row %d of the table is code %d", i, e.code)
		}
		contains(t, help, fmt.Sprintf("\n  %d  %s", e.code, e.meaning))
	}
}

// faulty is a store whose steps fail.
type faulty struct {
	holdfast.Store
	err error
}

func (f *faulty) Insert(context.Context, holdfast.Insert) ([]holdfast.Inserted, error) {
	return nil, f.err
}
func (f *faulty) Counts(context.Context) ([]holdfast.Counts, error) { return nil, f.err }
func (f *faulty) Finish(context.Context, []holdfast.Outcome) ([]holdfast.Finished, error) {
	return nil, f.err
}

func TestErrorsOfTheStoreSayWhatToDo(t *testing.T) {
	p := newPerson(t)
	p.ok("put", "q", "1")
	lease, id := p.take("q")
	p.store = &faulty{p.store, fmt.Errorf("%w: commit: %w", holdfast.ErrUnknown, context.DeadlineExceeded)}
	p.fails(9, "repeat the command with --id ", "put", "q", "1")
	if p.out != "" {
		t.Errorf("an unknown put printed %q", p.out)
	}
	p.fails(9, "job "+id+" got this report; repeat the command", "done", lease)
	p.store = &faulty{p.store, fmt.Errorf("%w: page 3", holdfast.ErrCorrupt)}
	p.fails(8, "holdfast: store is corrupt: page 3\n", "queues")
	p.store = &faulty{p.store, fmt.Errorf("%w: it is at schema 9, this binary knows 7; run a newer holdfast", holdfast.ErrUnusable)}
	p.fails(8, "run a newer holdfast", "queues")
	p.store = &faulty{p.store, holdfast.ErrClosed}
	p.fails(5, "store is closed", "queues")
}

func TestErrorsAreOneCleanLine(t *testing.T) {
	err := errors.Join(fmt.Errorf("%w: bad \x1b[2J name", holdfast.ErrInvalid), errors.New("second"))
	if got, want := errorText(err), `bad \x1b[2J name; second`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
