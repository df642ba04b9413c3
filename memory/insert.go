package memory

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/holdfastq/holdfast"
)

// Insert implements holdfast.Store.
func (s *Store) Insert(ctx context.Context, in holdfast.Insert) ([]holdfast.Inserted, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	answers, ok := s.plan(in.Jobs, nil)
	if ok {
		s.put(in.Jobs, answers, now)
		s.mark(in.Marks)
	}
	return answers, nil
}

// plan says what comes of putting the jobs, and changes nothing; false: one of them is refused, so none may be put.
// The job leaving, if any, ends in the same step and holds its unique key no longer.
func (s *Store) plan(jobs []holdfast.NewJob, leaving *job) ([]holdfast.Inserted, bool) {
	answers := make([]holdfast.Inserted, len(jobs))
	ids := make(map[holdfast.ID]*holdfast.NewJob, len(jobs)) // what this call puts
	keys := map[uniqueKey]holdfast.ID{}
	ok := true
	for i := range jobs {
		n := &jobs[i]
		answer := &answers[i]
		answer.ID = n.ID
		if same, known := s.known(n, ids); known {
			if answer.Made = same; !same {
				answer.Err = fmt.Errorf("%w: another job has the id %s", holdfast.ErrDuplicate, n.ID)
				ok = false
			}
			continue
		}
		k := uniqueKey{n.Queue, n.UniqueKey}
		holder, inCall := keys[k]
		running := false
		if j := s.keys[k]; !inCall && j != nil && j != leaving {
			holder, running = j.ID, j.State == holdfast.Running
		}
		switch {
		case n.UniqueKey == "" || holder.IsZero():
			answer.Made = true
			ids[n.ID] = n
			if n.UniqueKey != "" {
				keys[k] = n.ID
			}
		case n.OnDuplicate == holdfast.Replace && !running:
			answer.ID, answer.Replaced = holder, true
			if ids[holder] != nil {
				ids[holder] = n // a repeat of the id is compared with what it is now
			}
		case n.OnDuplicate == holdfast.KeepFirst:
			answer.ID = holder
		default:
			answer.ID = holder
			answer.Err = fmt.Errorf("%w: job %s holds the unique key", holdfast.ErrDuplicate, holder)
			ok = false
		}
	}
	if !ok {
		for i := range answers { // none is put
			answers[i].Made = answers[i].Made && s.jobs[jobs[i].ID] != nil
			answers[i].Replaced = false
		}
	}
	return answers, ok
}

// known says whether the new job's id is there already, and whether it is the same job: a call may be repeated.
func (s *Store) known(n *holdfast.NewJob, ids map[holdfast.ID]*holdfast.NewJob) (same, known bool) {
	if j := s.jobs[n.ID]; j != nil {
		return j.Queue == n.Queue && bytes.Equal(j.Data, n.Data), true
	}
	if first := ids[n.ID]; first != nil {
		return first.Queue == n.Queue && bytes.Equal(first.Data, n.Data), true
	}
	return false, false
}

// put does what plan found.
func (s *Store) put(jobs []holdfast.NewJob, answers []holdfast.Inserted, now time.Time) {
	for i := range jobs {
		n := &jobs[i]
		switch {
		case answers[i].Replaced:
			s.replace(s.jobs[answers[i].ID], n, now)
		case answers[i].Made && s.jobs[n.ID] == nil:
			s.add(n, now)
		}
	}
}

func (s *Store) add(n *holdfast.NewJob, now time.Time) {
	s.seq++
	j := &job{seq: s.seq, Info: holdfast.Info{
		ID: n.ID, Queue: n.Queue, UniqueKey: n.UniqueKey, Parent: n.Parent, MadeAt: now, Fence: s.fences[n.ID].fence,
	}}
	delete(s.fences, n.ID)
	j.take(n, now)
	s.jobs[j.ID] = j
	s.order = append(s.order, j)
	s.queueUp(j, holdfast.ReasonNone, now)
	s.rollup(j.Queue, now).Made++
}

// replace gives a job that is not running the data, times and bounds of another. It stays the same job: its id, its
// place among equals and the numbers of its attempts are kept.
func (s *Store) replace(j *job, n *holdfast.NewJob, now time.Time) {
	s.lift(j)
	j.take(n, now)
	j.Failures = 0
	s.queueUp(j, holdfast.ReasonNone, now)
}

// take copies what a put says of a job.
func (j *job) take(n *holdfast.NewJob, now time.Time) {
	j.Data = append([]byte{}, n.Data...)
	j.Priority, j.MaxAttempts, j.MaxRun = n.Priority, n.MaxAttempts, n.MaxRun
	j.StartBy = truncate(n.StartBy)
	j.RunAt = truncate(n.RunAt)
	if n.RunAt.IsZero() {
		j.RunAt = truncate(now.Add(n.After))
	}
}
