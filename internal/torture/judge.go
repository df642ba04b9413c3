package torture

import (
	"time"

	"github.com/holdfastq/holdfast"
)

// judge looks at the deliveries of each job: one outcome each, and no further one without a reason.
func (e *evidence) judge(faults map[int][]hurt, r *Report) {
	c := court{evidence: e, faults: faults, report: r}
	for _, list := range e.given {
		c.outcomes(list)
		for i := 1; i < len(list); i++ {
			c.again(list[i-1], list[i])
		}
	}
}

type court struct {
	*evidence
	faults map[int][]hurt
	report *Report
}

// outcomes counts what was recorded for one job.
func (c *court) outcomes(list []*delivery) {
	done := map[int64]bool{}
	for _, d := range list {
		kind := ""
		for _, p := range d.reports {
			if !p.accepted() {
				continue
			}
			if kind != "" && kind != p.kind {
				c.report.Duplicated++
				c.report.complain("lease %v has two outcomes: %s and %s", d.lease, kind, p.kind)
			}
			if kind = p.kind; kind == holdfast.OutcomeDone.String() {
				done[d.lease.Fence] = true
			}
		}
	}
	if len(done) > 1 {
		c.report.Duplicated++
		c.report.complain("job %v was completed %d times", list[0].lease.Job, len(done))
	}
}

// again asks why a job was given to another, or to the same again.
func (c *court) again(d, next *delivery) {
	if next.lease.Fence == d.lease.Fence {
		c.report.Duplicated++
		c.report.complain("lease %v was given to life %d and to life %d", d.lease, d.life, next.life)
		return
	}
	if next.lease.Fence > d.lease.Fence+1 && !c.unheard(d, next) {
		c.report.Unexplained++
		c.report.complain("job %v: nobody heard of the deliveries between fences %d and %d", d.lease.Job, d.lease.Fence, next.lease.Fence)
		return
	}
	for _, p := range d.reports {
		gaveBack := p.kind == holdfast.OutcomeFailed.String() || p.kind == holdfast.OutcomeReleased.String()
		if gaveBack && p.answer != itemLost && p.at.Before(next.answered) {
			return // the holder itself
		}
	}
	rerun := !d.started.IsZero() && !next.started.IsZero()
	if rerun {
		c.report.Redelivered++
	}
	switch {
	case c.hurt(c.faults[d.life], d, next, true):
		if rerun {
			c.report.ByKill++
		}
	case c.hurt(c.faults[d.life], d, next, false):
		if rerun {
			c.report.ByPause++
		}
	case c.hurt(c.stalls[d.life], d, next, false):
		if rerun {
			c.report.ByStall++
		}
	default:
		c.report.Unexplained++
		c.report.complain("lease %v of life %d (claimed %s) was given on to life %d as fence %d after %v, and nothing had happened to the holder",
			d.lease, d.life, d.asked.Format(time.StampMicro), next.life, next.lease.Fence, next.answered.Sub(d.asked))
	}
}

// hurt says whether something was done to the holder between its claim and the next one.
func (c *court) hurt(list []hurt, d, next *delivery, kill bool) bool {
	for _, h := range list {
		if h.kill == kill && h.from.Before(next.answered) && (kill || h.to.IsZero() || h.to.After(d.asked)) {
			return true
		}
	}
	return false
}

// unheard says whether a claim between the two was never answered: its process was killed, or did not hear.
func (c *court) unheard(d, next *delivery) bool {
	for _, asked := range c.lostAsk {
		for _, at := range asked {
			if at.Before(next.answered) {
				return true
			}
		}
	}
	return false
}
