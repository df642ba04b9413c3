package sqlite

import (
	"sync"
	"time"

	"github.com/holdfastq/holdfast"
)

// hands remembers what this store has handed out, so that a completion finds its row without looking for it. What it
// says is never trusted: the statement that uses it names everything that it relies on and changes no row otherwise.
type hands struct {
	mu   sync.Mutex
	held map[holdfast.Lease]inHand
}

// inHand is what a completion needs of a job as it was claimed.
type inHand struct {
	seq, queue int64
	startedAt  int64
	waited     time.Duration
	form       int64
}

// maxInHand bounds what is remembered; what is beyond it is looked for.
const maxInHand = 65536

func (h *hands) keep(jobs []*job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil || len(h.held)+len(jobs) > maxInHand {
		h.held = map[holdfast.Lease]inHand{}
	}
	for _, j := range jobs {
		if !j.started && j.form&(largeResult|smallResult) == 0 {
			h.held[holdfast.Lease{Job: j.ID, Fence: j.Fence}] = inHand{j.seq, j.queue, j.StartedAt.UnixMilli(), j.Waited, j.form}
		}
	}
}

// take gives what is known of a lease, and forgets it.
func (h *hands) take(l holdfast.Lease) (inHand, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	hand, ok := h.held[l]
	delete(h.held, l)
	return hand, ok
}

// doneInHand is doneJob for what was not touched since it was claimed.
const doneInHand = `update holdfast_jobs
	set state = 3, lease_until = null, started = ?, started_at = ?, stopped_at = ?, waited = ?, took = ?, outcome = 1,
		ended_at = ?, progress = null, note = null, attached = 0, form = ?, result = ?
	where seq = ? and id = ? and fence = ? and state = 2 and started = 0 and started_at = ?`

// doneFast ends a job that this store has handed out; false: it has to be looked for.
func (t *tx) doneFast(o *holdfast.Outcome) (holdfast.Finished, bool, error) {
	if o.Kind != holdfast.OutcomeDone || o.Unrun || len(o.New)+len(o.Log) > 0 || len(o.Result) > inline {
		return holdfast.Finished{}, false, nil
	}
	hand, ok := t.store.hands.take(o.Lease)
	if !ok {
		return holdfast.Finished{}, false, nil
	}
	startedAt, waited, took := hand.startedAt, hand.waited, o.Took
	if took > 0 {
		if began := t.now - int64(took/time.Millisecond); began > startedAt {
			waited += time.Duration(began-startedAt) * time.Millisecond
			startedAt = began
		}
	} else {
		took = time.Duration(t.now-startedAt) * time.Millisecond
	}
	form, result := hand.form, null
	if o.Result != nil {
		form, result = form|smallResult, blob(o.Result)
	}
	n, err := t.exec(doneInHand, flag(false), num(startedAt), num(t.now), num(int64(waited/time.Millisecond)), num(int64(took)),
		num(t.now), num(form), result,
		num(hand.seq), blob(o.Lease.Job[:]), num(o.Lease.Fence), num(hand.startedAt))
	if err != nil || n == 0 {
		return holdfast.Finished{}, false, err
	}
	s := t.sum(hand.queue)
	s.states[holdfast.Running]--
	s.states[holdfast.Done]++
	s.done++
	s.ended++
	s.waited.Add(waited)
	s.took.Add(took)
	return holdfast.Finished{State: holdfast.Done, Last: true}, true, nil
}
