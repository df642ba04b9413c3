package holdfast

import (
	"sync"
	"time"
)

// aheadFor is the time for which one consumer claims ahead of its slots. Longer saves nothing worth having, and whoever
// dies has that much in hand: the chance that two deaths hit the same job grows with its square.
const aheadFor = 250 * time.Millisecond

// maxAhead bounds it in number.
const maxAhead = 2_000

// pace measures how fast a queue's jobs go through this consumer.
type pace struct {
	mu      sync.Mutex
	mean    time.Duration // of a handler's run, exponentially weighted, the last ones most
	second  int64         // the second that is being counted
	now     int           // handled in it
	earlier int           // handled in the one before
}

// add counts one run of a handler.
func (p *pace) add(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mean == 0 {
		p.mean = max(took, 1)
	} else {
		p.mean = max(p.mean+(took-p.mean)/8, 1)
	}
	p.turn(time.Now().Unix())
	p.now++
}

func (p *pace) turn(second int64) {
	switch second - p.second {
	case 0:
		return
	case 1:
		p.earlier = p.now
	default:
		p.earlier = 0
	}
	p.second, p.now = second, 0
}

// ahead is the number of jobs that may be claimed beyond the free slots: what starts within aheadFor, by the mean and by
// count. Nothing before the first job has ended, nothing for jobs that take longer.
func (p *pace) ahead(slots int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mean == 0 || p.mean >= aheadFor {
		return 0
	}
	p.turn(time.Now().Unix())
	byMean := int(min(int64(slots)*int64(aheadFor/max(p.mean, time.Microsecond)), maxAhead))
	byCount := max(p.now, p.earlier) / int(time.Second/aheadFor)
	return min(byMean, byCount, maxAhead)
}
