package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfastq/holdfast"
)

// Amend implements holdfast.Store. The jobs are looked for before the transaction and judged again inside it.
func (s *Store) Amend(ctx context.Context, a holdfast.Amend) (holdfast.Amended, error) {
	var done holdfast.Amended
	var err error
	switch a.Action {
	case holdfast.ActionPause, holdfast.ActionResume:
		err = s.writer.do(ctx, turnAmend, 1, 0, func(t *tx) (err error) { // an error of its own: the caller may be gone
			done = holdfast.Amended{}
			if done.Changed, err = t.pause(a); err != nil {
				return err
			}
			return t.act(activityOf(a, a.Queue, done))
		})
	case holdfast.ActionRetry, holdfast.ActionCancel, holdfast.ActionDelete, holdfast.ActionRunNow:
		done, err = s.amendJobs(ctx, a)
	default:
		err = fmt.Errorf("%w: unknown action %q", holdfast.ErrInvalid, string(a.Action))
	}
	if err != nil {
		return holdfast.Amended{}, fmt.Errorf("amend: %w", err)
	}
	return done, nil
}

func activityOf(a holdfast.Amend, what string, done holdfast.Amended) holdfast.Activity {
	id := a.Activity
	if id.IsZero() {
		id = holdfast.NewID()
	}
	return holdfast.Activity{
		ID: id, Actor: a.Actor, Via: a.Via, Action: a.Action, What: what,
		Changed: int64(done.Changed), Skipped: int64(len(done.Skipped)),
	}
}

const pauseQueue = `update holdfast_queues set paused_at = ?, paused_by = ? where no = ? and (paused_at is null) = ?`

// pause sets or ends a queue's pause. Pausing a paused queue changes nothing, not even who did it first.
func (t *tx) pause(a holdfast.Amend) (int, error) {
	queue, err := t.queueNo(a.Queue)
	if err != nil {
		return 0, err
	}
	since, by := null, null
	pause := a.Action == holdfast.ActionPause
	if pause {
		since, by = num(t.now), text(a.Actor)
	}
	n, err := t.exec(pauseQueue, since, by, num(queue), flag(pause))
	if n > 0 && !pause {
		t.news(queue)
	}
	return int(n), err
}

// amendJobs changes the next Limit jobs that the filter names, in the order of their puts.
func (s *Store) amendJobs(ctx context.Context, a holdfast.Amend) (holdfast.Amended, error) {
	if a.Filter.None() {
		return holdfast.Amended{}, nil
	}
	what := a.Filter.String()
	f := a.Filter
	if len(f.IDs) == 0 && len(f.States) == 0 {
		f.States = meant(a.Action)
	}
	find := search{store: s, filter: f, ascending: true, after: cursorPlace(a.After, 0), limit: max(a.Limit, 1)}
	found, more, err := find.run(ctx)
	if err != nil {
		return holdfast.Amended{}, err
	}
	var done holdfast.Amended
	err = s.writer.do(ctx, turnAmend, len(found)+1, 0, func(t *tx) (err error) {
		done = holdfast.Amended{}
		if a.After == "" {
			if done.Skipped, err = t.missing(f.IDs); err != nil {
				return err
			}
		}
		for _, id := range named(f.IDs, found, a.After == "" && !more) {
			if err := t.amend(id, &f, a.Action, &done); err != nil {
				return err
			}
		}
		if more {
			done.Next = placeCursor(found[len(found)-1].seq)
		}
		return t.act(activityOf(a, what, done))
	})
	if err != nil {
		return holdfast.Amended{}, err
	}
	return done, nil
}

// named gives the jobs that were found, and if all that are named belong to this step, those too that were put since the
// look: whoever names a job is told what came of it.
func named(ids []holdfast.ID, found []*job, all bool) []holdfast.ID {
	list := make([]holdfast.ID, 0, len(found))
	seen := make(map[holdfast.ID]bool, len(found))
	for _, j := range found {
		list, seen[j.ID] = append(list, j.ID), true
	}
	for _, id := range ids {
		if all && !seen[id] {
			list, seen[id] = append(list, id), true
		}
	}
	return list
}

// meant gives the states that a filter without any means: those in which the action makes sense.
func meant(action holdfast.Action) []holdfast.State {
	switch action {
	case holdfast.ActionRetry:
		return []holdfast.State{holdfast.Failed, holdfast.Cancelled}
	case holdfast.ActionCancel:
		return []holdfast.State{holdfast.Scheduled, holdfast.Waiting, holdfast.Running}
	case holdfast.ActionRunNow:
		return []holdfast.State{holdfast.Scheduled}
	}
	return nil
}

const anyJob = `select 1 from holdfast_jobs where id = ?`

// missing reports the ids that name no job, each once.
func (t *tx) missing(ids []holdfast.ID) (list []holdfast.Skipped, err error) {
	seen := map[holdfast.ID]bool{}
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		there := false
		if err := t.query(anyJob, func(row) error { there = true; return nil }, blob(id[:])); err != nil {
			return nil, err
		}
		if !there {
			list = append(list, holdfast.Skipped{ID: id, Reason: "not found", Err: holdfast.ErrNotFound})
		}
	}
	return list, nil
}

// amend does an action to one job, unless the filter does not name it any more.
func (t *tx) amend(id holdfast.ID, f *holdfast.Filter, action holdfast.Action, done *holdfast.Amended) error {
	j, err := t.find(id)
	if err != nil || j == nil || !f.Match(&j.Info) {
		return err
	}
	err = t.change(j, action)
	switch {
	case err == nil:
		done.Changed++
	case errors.Is(err, holdfast.ErrDuplicate):
		done.Skipped = append(done.Skipped, holdfast.Skipped{ID: id, Reason: "another job holds its unique key", Err: err})
	case errors.Is(err, holdfast.ErrConflict):
		done.Skipped = append(done.Skipped, holdfast.Skipped{ID: id, Reason: "is " + j.State.String(), Err: err})
	default:
		return err
	}
	return nil
}

// change does an action to one job, or says why not: ErrConflict, ErrDuplicate.
func (t *tx) change(j *job, action holdfast.Action) error {
	switch {
	case action == holdfast.ActionRetry && j.State.Ended():
		return t.reopen(j)
	case action == holdfast.ActionRetry && j.State == holdfast.Scheduled && j.Why == holdfast.ReasonRetry,
		action == holdfast.ActionRunNow && j.State == holdfast.Scheduled:
		t.lift(j)
		j.RunAt = wall(t.now)
		t.queueUp(j, holdfast.ReasonRunNow)
		return t.save(j)
	case action == holdfast.ActionCancel && j.State == holdfast.Running:
		if !j.CancelRequested.IsZero() {
			return nil
		}
		j.CancelRequested = wall(t.now)
		t.asked = true
		return t.save(j)
	case action == holdfast.ActionCancel && !j.State.Ended():
		return t.end(j, holdfast.Cancelled, holdfast.ReasonRequested)
	case action == holdfast.ActionDelete && j.State != holdfast.Running:
		return t.delete(j)
	}
	return holdfast.ErrConflict
}

// reopen lets an ended job wait again, unless another job holds its unique key by now.
func (t *tx) reopen(j *job) error {
	if j.UniqueKey != "" {
		holder, _, err := t.keyHolder(&holdfast.NewJob{Queue: j.Queue, UniqueKey: j.UniqueKey}, 0)
		if err != nil {
			return err
		}
		if !holder.IsZero() {
			return holdfast.ErrDuplicate
		}
	}
	if err := t.file(j); err != nil { // its error would be taken for that of an earlier attempt
		return err
	}
	t.lift(j)
	j.Failures, j.Deaths, j.Crashes = 0, 0, 0
	j.CancelRequested, j.StartBy = time.Time{}, time.Time{}
	j.RunAt = wall(t.now)
	t.queueUp(j, holdfast.ReasonReopened)
	return t.save(j)
}

const keepFenceOf = `insert into holdfast_fences (id, fence, at) values (?, ?, ?)
	on conflict (id) do update set fence = max(fence, excluded.fence), at = excluded.at`

func (t *tx) delete(j *job) error {
	if _, err := t.exec(keepFenceOf, blob(j.ID[:]), num(j.Fence), num(t.now)); err != nil {
		return err
	}
	t.fences = 1
	return t.remove(j.seq, j.queue, int64(j.State))
}
