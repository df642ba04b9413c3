package memory

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/holdfastq/holdfast"
)

// Show implements holdfast.Store.
func (s *Store) Show(ctx context.Context, id holdfast.ID) (holdfast.Info, []holdfast.Attempt, error) {
	if _, err := s.begin(ctx); err != nil {
		return holdfast.Info{}, nil, err
	}
	defer s.mu.Unlock()
	j := s.jobs[id]
	if j == nil {
		return holdfast.Info{}, nil, holdfast.ErrNotFound
	}
	attempts := slices.Clone(j.attempts)
	for i := range attempts {
		attempts[i].Log = clone(attempts[i].Log)
	}
	return j.info(true), attempts, nil
}

// info copies what is told of a job: nothing that a caller does to it reaches the store.
func (j *job) info(data bool) holdfast.Info {
	i := j.Info
	i.Data, i.Result = nil, nil
	if data {
		i.Data, i.Result = clone(j.Data), clone(j.Result)
	}
	return i
}

// List implements holdfast.Store.
func (s *Store) List(ctx context.Context, l holdfast.List) (holdfast.Page, error) {
	if _, err := s.begin(ctx); err != nil {
		return holdfast.Page{}, err
	}
	defer s.mu.Unlock()
	limit := l.Limit
	if limit <= 0 || limit > holdfast.MaxPage {
		limit = holdfast.MaxPage
	}
	before, err := strconv.ParseInt(string(l.After), 10, 64)
	if l.After == "" || err != nil {
		before = math.MaxInt64
	}
	end, _ := slices.BinarySearchFunc(s.order, before, func(j *job, seq int64) int { return cmp.Compare(j.seq, seq) })
	var page holdfast.Page
	for i := end - 1; i >= 0; i-- {
		j := s.order[i]
		if !l.Filter.Match(&j.Info) {
			continue
		}
		if len(page.Jobs) == limit {
			page.Next = holdfast.Cursor(strconv.FormatInt(before, 10))
			break
		}
		page.Jobs = append(page.Jobs, j.info(l.Data))
		before = j.seq
	}
	return page, nil
}

// Counts implements holdfast.Store.
func (s *Store) Counts(ctx context.Context) ([]holdfast.Counts, error) {
	if _, err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	list := []holdfast.Counts{}
	for _, q := range s.queues {
		list = append(list, holdfast.Counts{Queue: q.name, States: q.counts, PausedAt: q.pausedAt, PausedBy: q.pausedBy, Oldest: q.oldest()})
	}
	slices.SortFunc(list, func(a, b holdfast.Counts) int { return cmp.Compare(a.Queue, b.Queue) })
	return list, nil
}

// oldest is the earliest RunAt of the waiting jobs.
func (q *queue) oldest() (at time.Time) {
	for _, jobs := range q.waiting {
		if len(jobs) > 0 && (at.IsZero() || jobs[0].RunAt.Before(at)) {
			at = jobs[0].RunAt
		}
	}
	return at
}
