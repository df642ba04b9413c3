package torture

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/holdfastq/holdfast"
)

// recorder writes down every call that matters: when it began, and when it was answered and how.
type recorder struct {
	holdfast.Store
	journal *journal
	calls   atomic.Int64
}

// Words of a journal.
const (
	wordCall   = "call"   // NUMBER METHOD …
	wordAnswer = "answer" // NUMBER ok|failed|unknown …
	wordStart  = "start"  // LEASE: its handler starts
	wordEnd    = "end"    // LEASE VERDICT: its handler is through, before the report
	wordStall  = "stall"  // FROM: no time for this process from then until now
	wordBad    = "bad"    // what else is wrong

	answerOK      = "ok"
	answerFailed  = "failed"
	answerUnknown = "unknown"
	itemLost      = "lost"
	itemError     = "error"

	methodInsert = "insert"
	methodClaim  = "claim"
	methodFinish = "finish"
)

func (r *recorder) begin(method string, args ...string) string {
	n := strconv.FormatInt(r.calls.Add(1), 10)
	r.journal.note(wordCall, append([]string{n, method}, args...)...)
	return n
}

func outcomeOf(err error) string {
	switch {
	case err == nil:
		return answerOK
	case errors.Is(err, holdfast.ErrUnknown):
		return answerUnknown
	default:
		return answerFailed
	}
}

// Insert writes down the ids.
func (r *recorder) Insert(ctx context.Context, in holdfast.Insert) ([]holdfast.Inserted, error) {
	ids := make([]string, len(in.Jobs))
	for i := range in.Jobs {
		ids[i] = in.Jobs[i].ID.String()
	}
	n := r.begin(methodInsert, ids...)
	answers, err := r.Store.Insert(ctx, in)
	items := make([]string, len(answers))
	for i, a := range answers {
		if items[i] = answerOK; !a.Made || a.Err != nil {
			items[i] = itemError
		}
	}
	r.journal.keep(wordAnswer, append([]string{n, outcomeOf(err)}, items...)...)
	return answers, err
}

// Claim writes down its number and the leases.
func (r *recorder) Claim(ctx context.Context, c holdfast.Claim) (holdfast.Claimed, error) {
	n := r.begin(methodClaim, strconv.FormatInt(c.Number, 10))
	claimed, err := r.Store.Claim(ctx, c)
	leases := make([]string, len(claimed.Jobs))
	for i, d := range claimed.Jobs {
		leases[i] = d.Lease.String()
	}
	r.journal.note(wordAnswer, append([]string{n, outcomeOf(err)}, leases...)...)
	return claimed, err
}

// Finish writes down for each lease what is reported, with the jobs that it produces, and what came of it.
func (r *recorder) Finish(ctx context.Context, outcomes []holdfast.Outcome) ([]holdfast.Finished, error) {
	reports := make([]string, len(outcomes))
	for i := range outcomes {
		o := &outcomes[i]
		parts := []string{o.Lease.String(), o.Kind.String()}
		for j := range o.New {
			parts = append(parts, o.New[j].ID.String())
		}
		reports[i] = strings.Join(parts, ":")
	}
	n := r.begin(methodFinish, reports...)
	answers, err := r.Store.Finish(ctx, outcomes)
	items := make([]string, len(answers))
	for i, a := range answers {
		switch {
		case a.Err == nil:
			items[i] = a.State.String()
		case errors.Is(a.Err, holdfast.ErrLeaseLost):
			items[i] = itemLost
		default:
			items[i] = itemError
		}
	}
	r.journal.keep(wordAnswer, append([]string{n, outcomeOf(err)}, items...)...)
	return answers, err
}
