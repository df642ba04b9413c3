package histories

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/holdfastq/holdfast"
)

// record is what the clients of one history wrote down. Moments are numbers of a common counter: no clock is as exact.
type record struct {
	tick  atomic.Int64
	calls atomic.Int64 // by clients, repeats included

	mu       sync.Mutex
	jobs     map[holdfast.ID]*made
	order    []holdfast.ID
	common   []*op // ops that concern every job of a queue
	unknowns int
}

// made is a job that somebody tried to put.
type made struct {
	queue string
	ops   []*op
}

// never is the return of a call that may still happen.
const never = math.MaxInt64

func newRecord() *record { return &record{jobs: map[holdfast.ID]*made{}} }

func (r *record) now() int64 { return r.tick.Add(1) }

// know makes a job known before anybody acts on it.
func (r *record) know(id holdfast.ID, queue string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.jobs[id] == nil {
		r.jobs[id] = &made{queue: queue}
		r.order = append(r.order, id)
	}
}

// add writes down what a call was answered: an op of one job, or of all jobs of queues.
func (r *record) add(ops ...*op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range ops {
		if o.unknown {
			r.unknowns++
		}
		if o.job.IsZero() {
			r.common = append(r.common, o)
			continue
		}
		if r.jobs[o.job] == nil { // handed out, but never put: Check will say so
			r.jobs[o.job] = &made{}
			r.order = append(r.order, o.job)
		}
		r.jobs[o.job].ops = append(r.jobs[o.job].ops, o)
	}
}

// settle says that calls of unknown outcome cannot happen after a moment: their repeats were answered then.
func (r *record) settle(ops []*op, at int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range ops {
		o.ret = at
	}
}

// of gives the ops of one job: its own, and from the first of those on the common ones. A pause counts from the start.
func (r *record) of(id holdfast.ID) []*op {
	j := r.jobs[id]
	first := int64(math.MaxInt64)
	for _, o := range j.ops {
		first = min(first, o.call)
	}
	ops := append([]*op{}, j.ops...)
	for _, o := range r.common {
		pause := o.kind == opPause || o.kind == opResume
		if !pause && o.ret < first || o.except[id] {
			continue
		}
		for _, q := range o.queues {
			if q == j.queue {
				ops = append(ops, o)
			}
		}
		if o.queues == nil {
			ops = append(ops, o)
		}
	}
	return ops
}
