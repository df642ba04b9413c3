package sqlite

import (
	"context"
	"encoding/json"
	"math"
	"slices"

	"github.com/holdfastq/holdfast"
)

// search finds the jobs that a filter names, in the order of their puts or against it, a page at a time. Filters that
// name few jobs go along the index that knows them; the others along the jobs themselves, window by window, each window
// in a snapshot of its own.
type search struct {
	store     *Store
	filter    holdfast.Filter
	ascending bool
	after     int64 // the seq where the last page ended
	limit     int
	data      bool
}

const (
	fewJobs    = 20_000 // so many are cheaper by index and sorted than by reading past the others
	windowJobs = 20_000 // jobs read in one snapshot
)

// The filter as SQL; ?1 and ?2 bound the place in the order, ?3 has the numbers of the queues, ?4 the states as bits.
const filterSQL = `seq > ?1 and seq < ?2
	and (?3 is null or queue in (select value from json_each(?3)))
	and (?4 >> state) & 1
	and made_at >= ?5 and made_at < ?6
	and (?7 is null or state >= 3 and ended_at < ?7)
	and (?8 = 0 or cause = ?8)
	and (?9 = 0 or attached = 1)`

const selectFound = `select ` + jobColumns + `, null, null from holdfast_jobs`

const selectFoundData = `select ` + jobColumns + `, payload, result from holdfast_jobs`

// run gives the next page; more: there are jobs beyond it.
func (s *search) run(ctx context.Context) (jobs []*job, more bool, err error) {
	queues, states, known, err := s.scope(ctx)
	if err != nil || !known {
		return nil, false, err
	}
	want := s.limit + 1
	switch {
	case len(s.filter.IDs) > 0:
		jobs, err = s.byID(ctx, queues, states, want)
	case s.filter.Cause != 0:
		jobs, err = s.along(ctx, ` indexed by holdfast_jobs_cause where cause = ?8 and cause is not null and `, queues, states, s.after, want)
	case s.filter.Attached:
		jobs, err = s.along(ctx, ` indexed by holdfast_jobs_attached where attached = 1 and `, queues, states, s.after, want)
	default:
		jobs, err = s.byState(ctx, queues, states, want)
	}
	if err != nil {
		return nil, false, err
	}
	if len(jobs) > s.limit {
		return jobs[:s.limit], true, nil
	}
	return jobs, false, nil
}

// scope gives the numbers of the filter's queues, nil for all, and its states as bits. Not known: no such queue.
func (s *search) scope(ctx context.Context) (queues []int64, states int64, known bool, err error) {
	for _, state := range s.filter.States {
		states |= 1 << state
	}
	if states == 0 {
		states = 1<<len(holdfast.States) - 1
	}
	if len(s.filter.Queues) == 0 {
		return nil, states, true, nil
	}
	err = s.store.readers.read(ctx, func(c *conn) error {
		for _, name := range s.filter.Queues {
			err := c.query(selectQueue, func(r row) error { queues = append(queues, r.int(0)); return nil }, text(name))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return queues, states, len(queues) > 0, err
}

// args are the filter's arguments, between the two places in the order.
func (s *search) args(queues []int64, states, low, high int64) []value {
	list, ended, since, before := null, null, num(int64(math.MinInt64)), num(int64(math.MaxInt64))
	if queues != nil {
		numbers, _ := json.Marshal(queues)
		list = text(string(numbers))
	}
	if !s.filter.EndedBefore.IsZero() {
		ended = num(ceilMS(s.filter.EndedBefore))
	}
	if !s.filter.MadeSince.IsZero() {
		since = num(ceilMS(s.filter.MadeSince))
	}
	if !s.filter.MadeBefore.IsZero() {
		before = num(ceilMS(s.filter.MadeBefore))
	}
	return []value{num(low), num(high), list, num(states), since, before, ended, num(s.filter.Cause), flag(s.filter.Attached)}
}

// bounds are the places between which a page that begins after one lies.
func (s *search) bounds(after int64) (low, high int64) {
	if s.ascending {
		return after, math.MaxInt64
	}
	return 0, after
}

func (s *search) order() string {
	if s.ascending {
		return " order by seq limit ?10"
	}
	return " order by seq desc limit ?10"
}

func (s *search) selection() string {
	if s.data {
		return selectFoundData
	}
	return selectFound
}

// along reads along an index that has the jobs in the order of their puts.
func (s *search) along(ctx context.Context, index string, queues []int64, states, after int64, want int) (jobs []*job, err error) {
	low, high := s.bounds(after)
	err = s.store.readers.read(ctx, func(c *conn) error {
		sql := s.selection() + index + filterSQL + s.order()
		return s.collect(c, &jobs, sql, append(s.args(queues, states, low, high), num(want)))
	})
	return jobs, err
}

func (s *search) collect(c *conn, jobs *[]*job, sql string, args []value) error {
	clock := s.store.clock()
	n := s.store.namesOn(c)
	return c.query(sql, func(r row) error {
		j := new(job)
		if err := j.scan(r, clock, n); err != nil {
			return err
		}
		if s.data {
			j.scanData(r)
			if err := j.fetchLarge(c); err != nil {
				return err
			}
		}
		*jobs = append(*jobs, j)
		return nil
	}, args...)
}

const whereID = ` where id = ?10 and `

// byID looks each id up.
func (s *search) byID(ctx context.Context, queues []int64, states int64, want int) (jobs []*job, err error) {
	low, high := s.bounds(s.after)
	seen := make(map[holdfast.ID]bool, len(s.filter.IDs))
	err = s.store.readers.read(ctx, func(c *conn) error {
		args := s.args(queues, states, low, high)
		for _, id := range s.filter.IDs {
			if seen[id] {
				continue
			}
			seen[id] = true
			if err := s.collect(c, &jobs, s.selection()+whereID+filterSQL, append(args[:9:9], blob(id[:]))); err != nil {
				return err
			}
		}
		return nil
	})
	slices.SortFunc(jobs, func(a, b *job) int {
		if s.ascending {
			return int(min(max(a.seq-b.seq, -1), 1))
		}
		return int(min(max(b.seq-a.seq, -1), 1))
	})
	return jobs[:min(len(jobs), want)], err
}

const selectCounters = `select no, scheduled, waiting, running, done, failed, cancelled from holdfast_queues
	where ?1 is null or no in (select value from json_each(?1))`

// byState chooses by the counters: few jobs are found by the indexes of their states, many by reading in order.
func (s *search) byState(ctx context.Context, queues []int64, states int64, want int) (jobs []*job, err error) {
	var seqs []int64
	var named, others int64
	err = s.store.readers.read(ctx, func(c *conn) error {
		list := null
		if queues != nil {
			numbers, _ := json.Marshal(queues)
			list = text(string(numbers))
		}
		type shelf struct{ queue, state int64 }
		var shelves []shelf
		err := c.query(selectCounters, func(r row) error {
			for state := range int64(len(holdfast.States)) {
				n := r.int(1 + int(state))
				if states>>state&1 == 0 {
					others += n
				} else if n > 0 {
					named += n
					shelves = append(shelves, shelf{r.int(0), state})
				}
			}
			return nil
		}, list)
		if err != nil || named > fewJobs || queues == nil && named >= others {
			return err
		}
		seqs = []int64{}
		low, high := s.bounds(s.after)
		for _, at := range shelves {
			if err := seqsOf(c, &seqs, at.queue, at.state, low, high); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || named == 0 {
		return nil, err
	}
	if seqs == nil {
		return s.inOrder(ctx, queues, states, want)
	}
	return s.bySeq(ctx, seqs, queues, states, want)
}

// The seqs of a state, each from the index of its own.
var selectSeqs = [...]string{
	holdfast.Scheduled: `select seq from holdfast_jobs where queue = ? and state = 0 and seq > ? and seq < ?`,
	holdfast.Waiting: `select seq from holdfast_jobs where queue = ?1 and state = 1 and deaths < 2 and seq > ?2 and seq < ?3
		union all select seq from holdfast_jobs where queue = ?1 and state = 1 and deaths >= 2 and seq > ?2 and seq < ?3`,
	holdfast.Running:   `select seq from holdfast_jobs indexed by holdfast_jobs_held where queue = ? and state = 2 and +seq > ? and +seq < ?`,
	holdfast.Done:      `select seq from holdfast_jobs where queue = ? and state = 3 and state >= 3 and seq > ? and seq < ?`,
	holdfast.Failed:    `select seq from holdfast_jobs where queue = ? and state = 4 and state >= 3 and seq > ? and seq < ?`,
	holdfast.Cancelled: `select seq from holdfast_jobs where queue = ? and state = 5 and state >= 3 and seq > ? and seq < ?`,
}

func seqsOf(c *conn, seqs *[]int64, queue, state, low, high int64) error {
	return c.query(selectSeqs[state], func(r row) error {
		*seqs = append(*seqs, r.int(0))
		return nil
	}, num(queue), num(low), num(high))
}

const whereSeq = ` where seq = ?10 and `

func (s *search) bySeq(ctx context.Context, seqs, queues []int64, states int64, want int) (jobs []*job, err error) {
	slices.Sort(seqs)
	if !s.ascending {
		slices.Reverse(seqs)
	}
	low, high := s.bounds(s.after)
	args := s.args(queues, states, low, high)
	for len(seqs) > 0 && len(jobs) < want {
		window := seqs[:min(len(seqs), windowJobs)]
		seqs = seqs[len(window):]
		err := s.store.readers.read(ctx, func(c *conn) error {
			for _, seq := range window {
				if len(jobs) == want {
					break
				}
				if err := s.collect(c, &jobs, s.selection()+whereSeq+filterSQL, append(args[:9:9], num(seq))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

const selectNextSeq = `select coalesce(min(seq), 0) from holdfast_jobs where seq > ?`

const selectPrevSeq = `select coalesce(max(seq), 0) from holdfast_jobs where seq < ?`

// inOrder reads the jobs themselves, window by window.
func (s *search) inOrder(ctx context.Context, queues []int64, states int64, want int) (jobs []*job, err error) {
	for at := s.after; len(jobs) < want; {
		done := false
		err := s.store.readers.read(ctx, func(c *conn) error {
			low, high, end, err := s.window(c, at)
			if done = end; err != nil || end {
				return err
			}
			if at = high - 1; !s.ascending {
				at = low + 1
			}
			sql := s.selection() + ` where ` + filterSQL + s.order()
			return s.collect(c, &jobs, sql, append(s.args(queues, states, low, high), num(want-len(jobs))))
		})
		if err != nil || done {
			return jobs, err
		}
	}
	return jobs, nil
}

// window gives the next bounds after a place, so that the window begins at a job; end: there is none.
func (s *search) window(c *conn, at int64) (low, high int64, end bool, err error) {
	sql := selectPrevSeq
	if s.ascending {
		sql = selectNextSeq
	}
	var next int64
	if err := c.query(sql, func(r row) error { next = r.int(0); return nil }, num(at)); err != nil || next == 0 {
		return 0, 0, true, err
	}
	if s.ascending {
		return next - 1, next + windowJobs, false, nil
	}
	return max(next-windowJobs, 0), next + 1, false, nil
}
