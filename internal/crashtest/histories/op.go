package histories

import (
	"fmt"
	"strings"

	"github.com/holdfastq/holdfast"
)

// opKind is what a client asked, as far as one job is concerned.
type opKind uint8

const (
	opInsert     opKind = iota
	opProduce           // by the report of the job that produces it
	opClaim             // and got this job
	opMayClaim          // of unknown outcome: this job may have been taken
	opClaimNone         // and got fewer than it wanted, not this job
	opRepeatNone        // asked again by its number, and did not get this job
	opExtend
	opFinish
	opSweep
	opShift
	opPurge
	opAmend
	opPause
	opResume
	opShow
)

var opNames = [...]string{"insert", "produce", "claim", "claim?", "claim nothing", "claim again, not this", "extend", "finish", "sweep", "time passes", "purge", "amend", "pause", "resume", "show"}

// spec is what a put says of a job.
type spec struct {
	after   bool
	startBy bool
	most    int
}

// report is what a holder says of a delivery.
type report struct {
	kind  holdfast.OutcomeKind
	unrun bool
	final bool
	after bool
}

// op is one call and its answer, as far as one job is concerned. Many jobs may share one.
type op struct {
	client    int
	call, ret int64
	kind      opKind
	unknown   bool // it may have happened, then or never

	job    holdfast.ID          // zero: every job of the queues
	queues []string             // of those that concern every job; nil: all
	except map[holdfast.ID]bool // jobs that have an op of their own for this call

	spec     spec
	consumer holdfast.ID
	number   int64
	fence    int64
	report   report
	action   holdfast.Action
	dead     []holdfast.ID
	more     bool // a limit was reached: the step may have left this job alone

	lost          bool // the answer was ErrLeaseLost
	refused       bool // amend: the state does not allow it
	missing       bool // the answer was ErrNotFound
	asked, paused bool // of extend
	info          holdfast.Info
}

// step adds all that a job may be after an op, nothing if the op's answer cannot be explained.
func (o *op) step(before life, after lives) lives {
	forms, n := before.drift()
	for _, l := range forms[:n] {
		if o.unknown && o.kind != opMayClaim {
			after = after.add(l)
			if n, ok := o.effect(l); ok {
				after = after.add(n)
			}
			continue
		}
		if n, ok := o.answered(l); ok {
			after = after.add(n)
		}
		repeat := o.kind == opProduce && l.born && !l.made // a repeated report puts nothing again
		if o.kind == opMayClaim || o.more || repeat {
			after = after.add(l)
		}
	}
	return after
}

// effect is what an op of unknown outcome does if it happens; false: nothing.
func (o *op) effect(l life) (life, bool) {
	switch o.kind {
	case opExtend, opFinish:
		if !l.holds(o.fence) {
			return l, false
		}
		if o.kind == opExtend {
			l.past = false
			return l, true
		}
		return l.finish(o.report), true
	case opAmend:
		if !l.made {
			return l, false
		}
		return l.amend(o.action)
	}
	return o.answered(l)
}

// answered is what an op does, given its answer; false: it could not have been answered so.
func (o *op) answered(l life) (life, bool) {
	switch o.kind {
	case opInsert, opProduce:
		return l.put(o.spec), true
	case opClaim:
		if l.holds(o.fence) && l.holder == o.consumer && l.number == o.number {
			return l, o.matches(l)
		}
		if !l.ready() || l.fence+1 != o.fence {
			return l, false
		}
		l = l.claim(o.consumer, o.number)
		return l, o.matches(l)
	case opMayClaim:
		if !l.ready() {
			return l, false
		}
		return l.claim(o.consumer, o.number), true
	case opClaimNone:
		return l, !l.due() || l.paused
	case opRepeatNone:
		return l, !(l.running() && l.holder == o.consumer && l.number == o.number)
	case opExtend:
		if o.lost {
			return l, !l.holds(o.fence)
		}
		ok := l.holds(o.fence) && l.asked == o.asked && l.paused == o.paused
		l.past = false
		return l, ok
	case opFinish:
		return o.finished(l)
	case opSweep:
		return l.sweep(o.dead), true
	case opShift:
		return l.shift(), true
	case opPurge:
		return l.purge(), true
	case opAmend:
		if !l.made || o.missing {
			return l, l.made != o.missing
		}
		n, ok := l.amend(o.action)
		return n, ok != o.refused
	case opPause, opResume:
		l.paused = o.kind == opPause
		return l, true
	case opShow:
		if o.missing || !l.made {
			return l, l.made != o.missing
		}
		return l, o.matches(l)
	}
	panic("histories: unknown op")
}

func (o *op) finished(l life) (life, bool) {
	held := l.holds(o.fence)
	repeat := l.repeated(o.fence, o.report.kind)
	switch {
	case o.lost:
		return l, !held && !repeat
	case held:
		l = l.finish(o.report)
		return l, l.state == o.info.State
	default:
		return l, repeat && l.state == o.info.State
	}
}

// matches compares the job with what the store said that it is.
func (o *op) matches(l life) bool {
	i := &o.info
	return i.State == l.state && i.Fence == l.fence && i.Attempt == l.attempt && i.Failures == l.failures &&
		i.Deaths == l.deaths && (l.state != holdfast.Running || !i.CancelRequested.IsZero() == l.asked)
}

// String shows an op for people who look for the reason.
func (o *op) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "[%6d %6d] client %d: %s", o.call, o.ret, o.client, opNames[o.kind])
	switch o.kind {
	case opInsert, opProduce:
		fmt.Fprintf(&s, " %+v", o.spec)
	case opClaim, opMayClaim, opRepeatNone, opClaimNone:
		fmt.Fprintf(&s, " by %.8s number %d", tail(o.consumer), o.number)
	case opFinish:
		fmt.Fprintf(&s, " %v unrun=%t final=%t after=%t", o.report.kind, o.report.unrun, o.report.final, o.report.after)
	case opSweep:
		for _, d := range o.dead {
			fmt.Fprintf(&s, " dead %s", tail(d))
		}
	case opAmend:
		fmt.Fprintf(&s, " %s", o.action)
	}
	if o.fence > 0 {
		fmt.Fprintf(&s, " fence %d", o.fence)
	}
	s.WriteString(" → ")
	switch {
	case o.unknown:
		s.WriteString("unknown")
	case o.lost:
		s.WriteString("lease lost")
	case o.refused:
		s.WriteString("refused")
	case o.missing:
		s.WriteString("not found")
	case o.kind == opShow, o.kind == opClaim, o.kind == opFinish:
		i := &o.info
		fmt.Fprintf(&s, "%v fence %d attempt %d failures %d deaths %d asked %t", i.State, i.Fence, i.Attempt, i.Failures, i.Deaths, !i.CancelRequested.IsZero())
	default:
		s.WriteString("ok")
	}
	return s.String()
}

// tail is the part of an id that differs.
func tail(id holdfast.ID) string { s := id.String(); return s[max(len(s)-6, 0):] }
