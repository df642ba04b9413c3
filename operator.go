package holdfast

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// amendStep is the number of jobs that one step of an operator's action looks at.
const amendStep = 1_000

// Operator sees and mends jobs of any queue, without their types. What it changes is written to Activity.
type Operator struct {
	store Store
	actor string
	via   string
}

// NewOperator makes an operator; actor says who, for Activity.
func NewOperator(s Store, actor string) *Operator {
	return &Operator{store: s, actor: cut(actor, MaxNoteBytes), via: "library"}
}

// Via gives the same operator with another word for where its actions come from: command, panel.
func (o *Operator) Via(via string) *Operator { return &Operator{o.store, o.actor, via} }

// Show gives a job and its attempts, the latest last. ErrNotFound.
func (o *Operator) Show(ctx context.Context, id ID) (Info, []Attempt, error) {
	return o.store.Show(ctx, id)
}

// Jobs gives the jobs that the filter names, newest first, without their data. It reads page by page, so a job that
// changes meanwhile is seen as it is then. It ends with the first error.
func (o *Operator) Jobs(ctx context.Context, f Filter) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		l := List{Filter: f, Limit: MaxPage}
		for {
			page, err := o.store.List(ctx, l)
			if err != nil {
				yield(Info{}, err)
				return
			}
			for _, info := range page.Jobs {
				if !yield(info, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			l.After = page.Next
		}
	}
}

// Counts gives the exact number of jobs in each state of each queue.
func (o *Operator) Counts(ctx context.Context) ([]Counts, error) { return o.store.Counts(ctx) }

// Retry makes ended jobs wait again, with no failures counted, and jobs scheduled for their next attempt due now. By a
// filter without states or ids it means failed and cancelled jobs. Retry, Cancel, Delete and RunNow answer how many jobs
// were changed; jobs whose state does not allow it are left alone, and if they were named by id the error joins a reason
// for each (ErrNotFound, ErrConflict, ErrDuplicate).
func (o *Operator) Retry(ctx context.Context, f Filter) (int, error) {
	return o.amend(ctx, ActionRetry, f)
}

// Cancel ends jobs that have not ended. The holder of a running one is asked: if it finishes first, done stays done.
func (o *Operator) Cancel(ctx context.Context, f Filter) (int, error) {
	return o.amend(ctx, ActionCancel, f)
}

// Delete removes jobs that are not running, with their history.
func (o *Operator) Delete(ctx context.Context, f Filter) (int, error) {
	return o.amend(ctx, ActionDelete, f)
}

// RunNow makes scheduled jobs due.
func (o *Operator) RunNow(ctx context.Context, f Filter) (int, error) {
	return o.amend(ctx, ActionRunNow, f)
}

// Pause keeps a queue from giving jobs; what runs goes on, what is put waits. Resume ends it. Either may be repeated.
func (o *Operator) Pause(ctx context.Context, queue string) error {
	return o.amendQueue(ctx, ActionPause, queue)
}

// Resume lets a paused queue give jobs again.
func (o *Operator) Resume(ctx context.Context, queue string) error {
	return o.amendQueue(ctx, ActionResume, queue)
}

func (o *Operator) amendQueue(ctx context.Context, action Action, queue string) error {
	if err := CheckQueueName(queue); err != nil {
		return err
	}
	_, err := o.store.Amend(ctx, Amend{Action: action, Queue: queue, Actor: o.actor, Via: o.via, Activity: NewID(), Limit: 1})
	return err
}

func (o *Operator) amend(ctx context.Context, action Action, f Filter) (int, error) {
	changed, skipped, err := o.Amend(ctx, action, f)
	if err == nil && len(f.IDs) > 0 {
		var reasons []error
		for _, s := range skipped {
			reasons = append(reasons, fmt.Errorf("%s job %v: it %s: %w", action, s.ID, s.Reason, s.Err))
		}
		err = errors.Join(reasons...)
	}
	return changed, err
}

// Amend does one of the four actions and answers which jobs it left alone, too: at most 1,000 of them, with the reason.
// If it ends with an error, what was changed until then stays changed; doing it again goes on.
func (o *Operator) Amend(ctx context.Context, action Action, f Filter) (int, []Skipped, error) {
	a := Amend{Action: action, Filter: f, Actor: o.actor, Via: o.via, Activity: NewID(), Limit: amendStep}
	changed := 0
	var skipped []Skipped
	for {
		done, err := o.store.Amend(ctx, a)
		if err != nil {
			return changed, skipped, fmt.Errorf("%s %v: %w", action, f, err)
		}
		changed += done.Changed
		if room := amendStep - len(skipped); room > 0 {
			skipped = append(skipped, done.Skipped[:min(room, len(done.Skipped))]...)
		}
		if done.Next == "" {
			return changed, skipped, nil
		}
		a.After = done.Next
	}
}
