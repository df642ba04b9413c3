package power

import (
	"fmt"
	"slices"

	"github.com/holdfastq/holdfast"
)

// rows are what a store holds, as read by plain SQL behind its back.
type rows struct {
	jobs     map[string]*jobRow
	attempts map[string]map[int]holdfast.OutcomeKind // by job and number, without the latest
	queues   map[string]*queueRow
	marks    map[string]string
}

type jobRow struct {
	queue    string
	state    holdfast.State
	priority int
	fence    int64
	attempt  int
	outcome  holdfast.OutcomeKind // of the latest attempt
	parent   string
	sum      string // of its data
	result   string // the sum of its result
}

type queueRow struct {
	counted [6]int64 // as the store counts
	paused  bool
}

func newRows() *rows {
	return &rows{map[string]*jobRow{}, map[string]map[int]holdfast.OutcomeKind{}, map[string]*queueRow{}, map[string]string{}}
}

func (r *rows) queue(name string) queueRow {
	if q := r.queues[name]; q != nil {
		return *q
	}
	return queueRow{}
}

// recorded says whether the outcome of a delivery is on record: in the job's row as long as it is the latest, else among
// the earlier attempts.
func (r *rows) recorded(lease saidLease) bool {
	j := r.jobs[lease.ID]
	if j == nil || j.fence < lease.Fence {
		return false
	}
	if j.fence == lease.Fence {
		return j.state != holdfast.Running && j.outcome == lease.Kind && (j.state != holdfast.Done || j.result == lease.Sum)
	}
	return lease.Attempt == 0 || r.attempts[lease.ID][lease.Attempt] == lease.Kind
}

// check gives what is wrong with a store, given what is known of its life. Everything that was acknowledged must be
// there, nothing that nobody asked for, and the counters must be right.
func (l *ledger) check(r *rows) []wrong {
	var found []wrong
	for _, f := range l.facts {
		if f.ever != nil && !f.ever(r) && (f.job == "" || r.jobs[f.job] != nil || !l.removable(f.job)) {
			found = append(found, wrong{lost, fmt.Sprintf("call %d was answered, and job %s is not %s", f.try, f.job, f.what)})
		}
	}
	odd := func(format string, args ...any) {
		found = append(found, wrong{unexpected, fmt.Sprintf(format, args...)})
	}
	counted := map[string][6]int64{}
	for id, j := range r.jobs {
		n := counted[j.queue]
		n[j.state]++
		counted[j.queue] = n
		l.checkJob(id, j, r.attempts[id], odd)
	}
	for name, q := range r.queues {
		if q.counted != counted[name] {
			odd("queue %s counts %v, its jobs are %v", name, q.counted, counted[name])
		}
		delete(counted, name)
	}
	if len(counted) > 0 {
		odd("jobs without a queue: %v", counted)
	}
	l.checkBatches(r, odd)
	return found
}

func (l *ledger) checkJob(id string, j *jobRow, earlier map[int]holdfast.OutcomeKind, odd func(string, ...any)) {
	put, known := l.jobs[id]
	switch {
	case !known:
		odd("job %s is there, and nobody put it", id)
		return
	case l.refused[id]:
		odd("job %s is there, and its put was refused", id)
	case j.queue != put.Queue || j.priority != put.Priority || j.sum != put.Sum:
		odd("job %s is %+v, put as %+v", id, *j, put)
	case j.parent != l.parents[id]:
		odd("job %s has the parent %q, want %q", id, j.parent, l.parents[id])
	case j.fence > int64(l.claims):
		odd("job %s has fence %d after %d claims", id, j.fence, l.claims)
	case j.state == holdfast.Running && j.fence == 0:
		odd("job %s runs, and nobody took it", id)
	case j.state == holdfast.Cancelled && !l.cancels[id]:
		odd("job %s is cancelled, and nobody asked", id)
	}
	tried := l.kinds[delivery{id, j.fence}]
	if byHolder := j.outcome >= holdfast.OutcomeDone && j.outcome <= holdfast.OutcomeReleased; byHolder && !slices.Contains(tried, j.outcome) && j.state != holdfast.Running {
		odd("job %s has the outcome %v for fence %d, reported were %v", id, j.outcome, j.fence, tried)
	}
	done := 0
	for n, kind := range earlier {
		if n > j.attempt {
			odd("job %s has attempt %d, its latest is %d", id, n, j.attempt)
		}
		if kind == holdfast.OutcomeDone && n != j.attempt {
			done++
		}
	}
	if j.state == holdfast.Done {
		done++
	}
	if done > 1 && !l.retried[id] {
		odd("job %s is done %d times", id, done)
	}
}

// checkBatches looks for calls of which only a part is there: the jobs of one put, a job and its fruits.
func (l *ledger) checkBatches(r *rows, odd func(string, ...any)) {
	part := func(jobs []saidJob) (there, missing int) {
		for _, j := range jobs {
			if r.jobs[j.ID] != nil {
				there++
			} else if !j.Key && !l.removable(j.ID) {
				missing++
			}
		}
		return there, missing
	}
	for n, s := range l.tries {
		if there, missing := part(s.Jobs); s.Call == "put" && there > 0 && missing > 0 {
			odd("of the jobs of put %d, %d are there and %d are not", n, there, missing)
		}
	}
	for d, jobs := range l.fruits {
		there, missing := part(jobs)
		parent := r.jobs[d.id]
		done := parent != nil && parent.fence == d.fence && parent.state == holdfast.Done
		switch {
		case done && missing > 0:
			odd("job %s is done, and %d of the jobs that it put are not there", d.id, missing)
		case there > 0 && !done && !l.removable(d.id) && !l.retried[d.id]:
			odd("job %s is not done, and %d of the jobs that it put are there", d.id, there)
		}
	}
}

// wrong is something that may not be.
type wrong struct {
	sort wrongness
	what string
}

type wrongness string

const (
	lost       wrongness = "lost"       // it was acknowledged and is not there
	corrupt    wrongness = "corrupt"    // SQLite finds the file damaged, or cannot open it
	unexpected wrongness = "unexpected" // anything else that may not be
)
