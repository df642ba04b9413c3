package torture

import (
	"math/rand/v2"
	"time"
)

// plan is what is done to whom and when. It is made before anything starts, from the seed alone.
type plan struct {
	lease  time.Duration
	slots  []string // the role of each process
	faults []fault
}

// fault is a kill, or a pause if it has a length.
type fault struct {
	at   time.Duration // from the start
	slot int
	stop time.Duration
}

// Pauses last so many leases.
const (
	shortest = 0.5
	longest  = 5
)

func newPlan(c Config) plan {
	luck := rand.New(rand.NewPCG(c.Seed, 0x686f6c64))
	p := plan{lease: 500*time.Millisecond + time.Duration(luck.Int64N(int64(500*time.Millisecond)))}
	for range c.Producers {
		p.slots = append(p.slots, roleProducer)
	}
	for range c.Consumers {
		p.slots = append(p.slots, roleConsumer)
	}
	p.slots = append(p.slots, roleManager)
	still := make([]time.Duration, len(p.slots)) // until when a slot's process stands still
	rate := c.Kills + c.Pauses
	for at := time.Duration(0); ; {
		at += time.Duration(luck.ExpFloat64() / rate * float64(time.Second))
		if at >= c.For {
			return p
		}
		f := fault{at: at, slot: luck.IntN(len(p.slots))}
		length := time.Duration((shortest + luck.Float64()*(longest-shortest)) * float64(p.lease))
		if luck.Float64()*rate < c.Pauses {
			if at < still[f.slot] || at+length > c.For {
				continue // it stands still already, or would when all is over
			}
			f.stop = length
			still[f.slot] = at + length
		}
		p.faults = append(p.faults, f)
	}
}
