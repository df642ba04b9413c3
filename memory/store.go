// Package memory keeps jobs in the memory of one process: for tests, and as the model with which the other stores are
// compared. It is the contract of [holdfast.Store] in its plainest form: one mutex, maps and sorted slices. Nothing of it
// survives the process.
//
// Its clock is the program's own, so it works inside a bubble of testing/synctest; it starts no goroutine.
package memory

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/holdfastq/holdfast"
)

// Store is a holdfast.Store in memory.
type Store struct {
	mu     sync.Mutex
	closed bool

	seq       int64 // of the latest put
	jobs      map[holdfast.ID]*job
	order     []*job // all jobs, in the order of their puts
	queues    map[string]*queue
	scheduled []*job // by RunAt, then the order of their puts
	running   map[holdfast.ID]*job
	keys      map[uniqueKey]*job // who holds a unique key
	fences    map[holdfast.ID]tombstone
	sweptAt   time.Time // the last sweep; at first, when the store was made

	rollups   map[rollupKey]*holdfast.Rollup
	consumers map[holdfast.ID]*holdfast.Consumer
	activity  []holdfast.Activity // the latest last
	marks     map[string][]byte

	tick uint64        // goes up with all news
	news chan struct{} // closed at the next news
}

// job is a job with what its Info does not tell.
type job struct {
	holdfast.Info
	seq        int64
	due        time.Time // since when it could be taken: waited counts from here
	attempts   []holdfast.Attempt
	last       holdfast.OutcomeKind // how the delivery with the present fence ended
	claim      int64                // the number of the claim that holds it
	claimedAt  time.Time
	unattended bool   // no process stands behind the holder
	started    bool   // the holder said that its handler has started
	asked      uint64 // the tick of a cancel request
}

// queue is what the jobs of one queue share.
type queue struct {
	name     string
	waiting  [holdfast.MaxPriority + 1][]*job // by RunAt, then the order of their puts
	counts   [6]int64                         // by state
	pausedAt time.Time
	pausedBy string
	news     uint64 // the tick at which something last became claimable
}

type uniqueKey struct{ queue, key string }

// tombstone remembers the fence of a job that a person deleted: whoever still holds an old lease of it must not fit a
// later job with the same id.
type tombstone struct {
	fence int64
	at    time.Time
}

var _ holdfast.Store = (*Store)(nil)

// New makes an empty store.
func New() *Store {
	return &Store{
		jobs:      map[holdfast.ID]*job{},
		queues:    map[string]*queue{},
		running:   map[holdfast.ID]*job{},
		keys:      map[uniqueKey]*job{},
		fences:    map[holdfast.ID]tombstone{},
		sweptAt:   now(),
		rollups:   map[rollupKey]*holdfast.Rollup{},
		consumers: map[holdfast.ID]*holdfast.Consumer{},
		marks:     map[string][]byte{},
		news:      make(chan struct{}),
	}
}

// Close lets waiting calls return; each later call gets ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.announce()
	}
	return nil
}

// begin locks the store for one step and gives the step's time; the caller unlocks it unless there is an error.
func (s *Store) begin(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return time.Time{}, holdfast.ErrClosed
	}
	return now(), nil
}

// now is the time, as exact as databases keep it.
func now() time.Time { return truncate(time.Now()) }

func truncate(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Millisecond)
}

// bound is the limit of a step; a caller that names none wants all.
func bound(limit int) int {
	if limit <= 0 {
		return math.MaxInt
	}
	return limit
}

// queue gives the queue of that name, and makes it if need be.
func (s *Store) queue(name string) *queue {
	q := s.queues[name]
	if q == nil {
		q = &queue{name: name}
		s.queues[name] = q
	}
	return q
}

// byRunAt is the order of jobs with the same priority.
func byRunAt(a, b *job) int {
	return cmp.Or(a.RunAt.Compare(b.RunAt), cmp.Compare(a.seq, b.seq))
}

func insertSorted(list []*job, j *job) []*job {
	i, _ := slices.BinarySearchFunc(list, j, byRunAt)
	return slices.Insert(list, i, j)
}

func removeSorted(list []*job, j *job) []*job {
	i, _ := slices.BinarySearchFunc(list, j, byRunAt)
	if i == 0 {
		list[0] = nil // else the array would keep the job
		return list[1:]
	}
	return slices.Delete(list, i, i+1)
}

// lift takes a job out of its state. Between lift and settle its RunAt and priority may change.
func (s *Store) lift(j *job) {
	q := s.queue(j.Queue)
	q.counts[j.State]--
	switch j.State {
	case holdfast.Scheduled:
		s.scheduled = removeSorted(s.scheduled, j)
	case holdfast.Waiting:
		q.waiting[j.Priority] = removeSorted(q.waiting[j.Priority], j)
	case holdfast.Running:
		delete(s.running, j.ID)
		j.LeaseUntil, j.Progress, j.Note = time.Time{}, 0, ""
	}
}

// settle puts a lifted job into a state: the one place where states change, so counts, unique keys and wake-ups follow.
func (s *Store) settle(j *job, state holdfast.State, why holdfast.Reason, now time.Time) {
	q := s.queue(j.Queue)
	j.State, j.Why = state, why
	q.counts[state]++
	switch state {
	case holdfast.Scheduled:
		s.scheduled = insertSorted(s.scheduled, j)
		s.announce() // a Wait may have to wake earlier
	case holdfast.Waiting:
		q.waiting[j.Priority] = insertSorted(q.waiting[j.Priority], j)
		s.announce()
		q.news = s.tick
	case holdfast.Running:
		s.running[j.ID] = j
	}
	if state.Ended() {
		j.EndedAt = now
		s.rollup(j.Queue, now).Ended++
	} else {
		j.EndedAt = time.Time{}
	}
	if j.UniqueKey != "" {
		if state.Ended() {
			delete(s.keys, uniqueKey{j.Queue, j.UniqueKey})
		} else {
			s.keys[uniqueKey{j.Queue, j.UniqueKey}] = j
		}
	}
}

// queueUp settles a lifted job by its RunAt: scheduled, or waiting if it is due.
func (s *Store) queueUp(j *job, why holdfast.Reason, now time.Time) {
	state := holdfast.Waiting
	j.due = now
	if j.RunAt.After(now) {
		state, j.due = holdfast.Scheduled, j.RunAt
	}
	s.settle(j, state, why, now)
}

// end settles a job that has not ended.
func (s *Store) end(j *job, state holdfast.State, why holdfast.Reason, now time.Time) {
	s.lift(j)
	s.settle(j, state, why, now)
}

// promote makes waiting what is due, at most limit jobs, and says how many. Their due time and reason stay.
func (s *Store) promote(now time.Time, limit int) int {
	n := 0
	for ; n < limit && len(s.scheduled) > 0 && !s.scheduled[0].RunAt.After(now); n++ {
		j := s.scheduled[0]
		s.lift(j)
		s.settle(j, holdfast.Waiting, j.Why, now)
	}
	return n
}

// tooLate says whether a job that has not started has passed its start-by time.
func (j *job) tooLate(now time.Time) bool {
	return !j.StartBy.IsZero() && j.StartBy.Before(now)
}

// remove takes jobs that are not running out of the store.
func (s *Store) remove(jobs []*job) {
	for _, j := range jobs {
		s.lift(j)
		delete(s.jobs, j.ID)
		if k := (uniqueKey{j.Queue, j.UniqueKey}); j.UniqueKey != "" && s.keys[k] == j {
			delete(s.keys, k)
		}
	}
	if len(jobs) > 0 {
		s.order = slices.DeleteFunc(s.order, func(j *job) bool { return s.jobs[j.ID] != j })
	}
}

// held gives the job of a lease if the lease is the present one.
func (s *Store) held(l holdfast.Lease) (*job, bool) {
	j := s.jobs[l.Job]
	return j, j != nil && j.State == holdfast.Running && j.Fence == l.Fence
}
