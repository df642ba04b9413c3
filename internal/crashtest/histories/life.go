package histories

import (
	"github.com/holdfastq/holdfast"
)

// life is what one job may be at one moment: the state machine of a job's life in its plainest form. It is written from
// the contract of holdfast.Store, not from any store, and is compared by ==.
//
// Time passes in large steps only (opShift): each is longer than every lease, delay, start-by time and kept time in a
// history, so that one bit says whether such a time has passed.
type life struct {
	made   bool
	born   bool // it was made once
	state  holdfast.State
	fence  int64 // kept when a person deletes the job
	past   bool  // running: its lease has ended; scheduled: it is due; ended: kept long enough
	holder holdfast.ID
	number int64
	last   holdfast.OutcomeKind // of the delivery with this fence

	attempt, failures, deaths, most int

	retry   bool // scheduled because an attempt failed
	asked   bool // a cancel was requested
	startBy bool // it has a start-by time
	late    bool // which has passed
	paused  bool // its queue gives nothing
}

// ready says that a claim would take the job.
func (l life) ready() bool { return l.due() && !l.paused && !l.late }

// due says that the job waits, or would if somebody looked.
func (l life) due() bool {
	return l.made && (l.state == holdfast.Waiting || l.state == holdfast.Scheduled && l.past)
}

func (l life) running() bool { return l.made && l.state == holdfast.Running }

func (l life) holds(fence int64) bool { return l.running() && l.fence == fence }

// repeated says that a report under this fence would be the repeat of a recorded one.
func (l life) repeated(fence int64, kind holdfast.OutcomeKind) bool {
	return l.made && !l.running() && l.fence == fence && l.last == kind && kind != holdfast.OutcomeNone
}

// enter puts the job into a state in which it has just arrived.
func (l life) enter(s holdfast.State) life {
	l.state, l.past, l.retry = s, false, false
	if s != holdfast.Running {
		l.holder, l.number = holdfast.ID{}, 0
	}
	return l
}

// later is a job that goes back to the queue, at once or after a delay.
func (l life) later(after bool) life {
	if after {
		return l.enter(holdfast.Scheduled)
	}
	return l.enter(holdfast.Waiting)
}

// drift gives what the job may have become by itself: nobody need see when a due job becomes waiting, or when one that
// is too late is cancelled.
func (l life) drift() (forms [3]life, n int) {
	forms[0], n = l, 1
	if l.made && l.state == holdfast.Scheduled && l.past {
		forms[n] = l.enter(holdfast.Waiting)
		n++
	}
	if l.late && l.made && (l.state == holdfast.Waiting || l.state == holdfast.Scheduled) {
		forms[n] = l.enter(holdfast.Cancelled)
		n++
	}
	return forms, n
}

func (l life) put(spec spec) life {
	if l.made {
		return l
	}
	n := life{made: true, born: true, fence: l.fence, most: spec.most, startBy: spec.startBy, paused: l.paused}
	return n.later(spec.after)
}

func (l life) claim(consumer holdfast.ID, number int64) life {
	l = l.enter(holdfast.Running)
	l.fence++
	l.attempt++
	l.holder, l.number, l.last, l.asked = consumer, number, holdfast.OutcomeNone, false
	return l
}

// finish is an accepted report.
func (l life) finish(r report) life {
	l.last = r.kind
	if r.unrun {
		l.attempt--
	}
	switch r.kind {
	case holdfast.OutcomeDone:
		return l.enter(holdfast.Done)
	case holdfast.OutcomeFailed:
		l.failures++
		switch {
		case l.asked:
			return l.enter(holdfast.Cancelled)
		case r.final || l.failures >= l.most:
			return l.enter(holdfast.Failed)
		}
		l = l.later(r.after)
		l.retry = l.state == holdfast.Scheduled
		return l
	default:
		if l.asked {
			return l.enter(holdfast.Cancelled)
		}
		return l.later(r.after)
	}
}

// sweep is the manager's step, with the consumers that it says are dead.
func (l life) sweep(dead []holdfast.ID) life {
	if !l.made {
		return l
	}
	if l.late && (l.state == holdfast.Waiting || l.state == holdfast.Scheduled) {
		return l.enter(holdfast.Cancelled)
	}
	if l.state == holdfast.Scheduled && l.past {
		l.state, l.past, l.retry = holdfast.Waiting, false, false
	}
	gone := false
	for _, d := range dead {
		gone = gone || d == l.holder
	}
	if l.state != holdfast.Running || !l.past && !gone {
		return l
	}
	l.last = holdfast.OutcomeLost
	if gone {
		l.last = holdfast.OutcomeDied
	}
	l.deaths++
	if l.asked {
		return l.enter(holdfast.Cancelled)
	}
	return l.enter(holdfast.Waiting) // and cancelled if it is late, by the same step or the next: drift knows
}

// shift is the passing of much time.
func (l life) shift() life {
	if l.made && l.state != holdfast.Waiting {
		l.past = true
	}
	l.late = l.late || l.startBy
	return l
}

// purge is the cleaner's step, keeping nothing longer than it must.
func (l life) purge() life {
	if l.made && l.state.Ended() && l.past {
		return life{born: true, paused: l.paused}
	}
	return l
}

// amend is an operator's step on this one job; false: its state does not allow it.
func (l life) amend(action holdfast.Action) (life, bool) {
	switch {
	case action == holdfast.ActionRetry && l.state.Ended():
		l.failures, l.deaths, l.asked, l.startBy, l.late = 0, 0, false, false, false
		return l.enter(holdfast.Waiting), true
	case action == holdfast.ActionRetry && l.state == holdfast.Scheduled && l.retry,
		action == holdfast.ActionRunNow && l.state == holdfast.Scheduled:
		return l.enter(holdfast.Waiting), true
	case action == holdfast.ActionCancel && l.state == holdfast.Running:
		l.asked = true
		return l, true
	case action == holdfast.ActionCancel && !l.state.Ended():
		return l.enter(holdfast.Cancelled), true
	case action == holdfast.ActionDelete && l.state != holdfast.Running:
		return life{born: true, fence: l.fence, paused: l.paused}, true
	}
	return l, false
}
