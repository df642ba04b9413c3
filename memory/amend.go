package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/holdfastq/holdfast"
)

// Amend implements holdfast.Store.
func (s *Store) Amend(ctx context.Context, a holdfast.Amend) (holdfast.Amended, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return holdfast.Amended{}, err
	}
	defer s.mu.Unlock()
	var done holdfast.Amended
	if a.Filter.None() {
		return done, nil
	}
	what := a.Filter.String()
	switch a.Action {
	case holdfast.ActionPause, holdfast.ActionResume:
		what = a.Queue
		done.Changed = s.pause(a, now)
	case holdfast.ActionRetry, holdfast.ActionCancel, holdfast.ActionDelete, holdfast.ActionRunNow:
		done = s.amendJobs(a, now)
	default:
		return done, fmt.Errorf("%w: unknown action %q", holdfast.ErrInvalid, string(a.Action))
	}
	s.act(holdfast.Activity{
		ID: a.Activity, At: now, Actor: a.Actor, Via: a.Via, Action: a.Action, What: what,
		Changed: int64(done.Changed), Skipped: int64(len(done.Skipped)),
	})
	return done, nil
}

// pause sets or ends a queue's pause. Pausing a paused queue changes nothing, not even who did it first.
func (s *Store) pause(a holdfast.Amend, now time.Time) int {
	q := s.queue(a.Queue)
	pause := a.Action == holdfast.ActionPause
	if pause == !q.pausedAt.IsZero() {
		return 0
	}
	if pause {
		q.pausedAt, q.pausedBy = now, a.Actor
		return 1
	}
	q.pausedAt, q.pausedBy = time.Time{}, ""
	s.announce()
	q.news = s.tick
	return 1
}

// amendJobs changes the next Limit jobs that the filter names, in the order of their puts.
func (s *Store) amendJobs(a holdfast.Amend, now time.Time) (done holdfast.Amended) {
	after, _ := strconv.ParseInt(string(a.After), 10, 64)
	if a.After == "" {
		done.Skipped = s.missing(a.Filter.IDs)
	}
	f := a.Filter
	if len(f.IDs) == 0 && len(f.States) == 0 {
		f.States = meant(a.Action)
	}
	var deleted []*job
	looked := 0
	start, _ := slices.BinarySearchFunc(s.order, after+1, func(j *job, seq int64) int { return cmp.Compare(j.seq, seq) })
	for _, j := range s.order[start:] {
		if !f.Match(&j.Info) {
			continue
		}
		if looked == bound(a.Limit) {
			done.Next = holdfast.Cursor(strconv.FormatInt(after, 10))
			break
		}
		looked++
		after = j.seq
		if err := s.change(j, a.Action, now); err != nil {
			done.Skipped = append(done.Skipped, holdfast.Skipped{ID: j.ID, Reason: reason(j, err), Err: err})
			continue
		}
		if a.Action == holdfast.ActionDelete {
			s.fences[j.ID] = tombstone{j.Fence, now}
			deleted = append(deleted, j)
		}
		done.Changed++
	}
	s.remove(deleted)
	return done
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

// missing reports the ids that name no job, each once.
func (s *Store) missing(ids []holdfast.ID) []holdfast.Skipped {
	var list []holdfast.Skipped
	seen := map[holdfast.ID]bool{}
	for _, id := range ids {
		if s.jobs[id] == nil && !seen[id] {
			list = append(list, holdfast.Skipped{ID: id, Reason: "not found", Err: holdfast.ErrNotFound})
		}
		seen[id] = true
	}
	return list
}

// change does an action to one job, or says why not. Of a delete it only checks: the caller removes.
func (s *Store) change(j *job, action holdfast.Action, now time.Time) error {
	switch {
	case action == holdfast.ActionRetry && j.State.Ended():
		return s.reopen(j, now)
	case action == holdfast.ActionRetry && j.State == holdfast.Scheduled && j.Why == holdfast.ReasonRetry,
		action == holdfast.ActionRunNow && j.State == holdfast.Scheduled:
		s.lift(j)
		j.RunAt = now
		s.queueUp(j, holdfast.ReasonRunNow, now)
	case action == holdfast.ActionCancel && j.State == holdfast.Running:
		if j.CancelRequested.IsZero() {
			j.CancelRequested = now
			s.announce()
			j.asked = s.tick
		}
	case action == holdfast.ActionCancel && !j.State.Ended():
		s.end(j, holdfast.Cancelled, holdfast.ReasonRequested, now)
	case action == holdfast.ActionDelete && j.State != holdfast.Running:
	default:
		return holdfast.ErrConflict
	}
	return nil
}

// reopen lets an ended job wait again, unless another job holds its unique key by now.
func (s *Store) reopen(j *job, now time.Time) error {
	if j.UniqueKey != "" && s.keys[uniqueKey{j.Queue, j.UniqueKey}] != nil {
		return holdfast.ErrDuplicate
	}
	s.lift(j)
	j.Failures, j.Deaths, j.Crashes = 0, 0, 0
	j.CancelRequested, j.StartBy, j.asked = time.Time{}, time.Time{}, 0
	j.RunAt = now
	s.queueUp(j, holdfast.ReasonReopened, now)
	return nil
}

// reason says for people why a job was left alone.
func reason(j *job, err error) string {
	if err == holdfast.ErrDuplicate {
		return "another job holds its unique key"
	}
	return "is " + j.State.String()
}
