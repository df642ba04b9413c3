package histories

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/holdfastq/holdfast"
)

// World is what a history happens to: empty stores on the same data, and what a test may do to them.
type World struct {
	Stores []holdfast.Store

	// Wrap, if not nil, goes around each store: a planted bug.
	Wrap func(holdfast.Store) holdfast.Store

	// Above is the same, but the bad line is between it and the store.
	Above func(holdfast.Store) holdfast.Store

	// Shift moves all stored times back by d in one step. Nil: no time passes in the history.
	Shift func(d time.Duration) error

	// Reopen closes the i-th store and opens it again. Nil: stores stay open.
	Reopen func(i int) (holdfast.Store, error)
}

// Plan is the size of a history, and what it is made from.
type Plan struct {
	Seed    uint64
	Ops     int // calls, repeats of unanswered ones not counted; default 5,000
	Clients int // default 8
}

// Result is what came of a history. The zero Wrong means that its answers can be explained.
type Result struct {
	Seed     uint64   `json:"seed"`
	Calls    int      `json:"calls"`    // repeats included
	Jobs     int      `json:"jobs"`     // that somebody tried to put
	Unknowns int      `json:"unknowns"` // calls that were never answered for certain
	Played   float64  `json:"played_seconds"`
	Checked  float64  `json:"checked_seconds"`
	Wrong    []string `json:"wrong,omitempty"`
}

// Times of a history. One shift is longer than each of them; a day, for which a store remembers the fences of deleted
// jobs, is longer than all shifts of a history together.
const (
	shiftBy   = 15 * time.Minute
	leaseFor  = 5 * time.Minute
	delay     = 5 * time.Minute
	maxShifts = 60
	everyJob  = 100_000 // a limit that no step reaches
)

var queues = []string{"a", "b"}

// game is one history while it is played.
type game struct {
	world  World
	rec    *record
	ctx    context.Context
	slots  []*slot
	mu     sync.Mutex
	jobs   []holdfast.NewJob
	leases []holdfast.Lease
	shifts int
	broken []string // answers that no state could explain
}

// slot is the place of one store, which may be closed and opened again.
type slot struct {
	mu    sync.RWMutex
	store holdfast.Store // at the far end of a bad line
	under holdfast.Store // itself, with its planted bug
}

func (s *slot) get() holdfast.Store {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.store
}

// Play makes a history and checks it. An error means that it could not be played.
func Play(ctx context.Context, w World, p Plan) (Result, error) {
	if p.Ops == 0 {
		p.Ops = 5_000
	}
	if p.Clients == 0 {
		p.Clients = 8
	}
	g := &game{world: w, rec: newRecord(), ctx: ctx}
	for i, s := range w.Stores {
		g.slots = append(g.slots, g.dress(new(slot), s, p.Seed, uint64(i)))
	}
	start := time.Now()
	var playing sync.WaitGroup
	for i := range p.Clients {
		c := newClient(g, i, p.Seed)
		playing.Go(func() {
			for range p.Ops / p.Clients {
				c.act()
			}
		})
	}
	playing.Wait()
	res := Result{Seed: p.Seed}
	if err := g.last(); err != nil {
		return res, err
	}
	res.Played = time.Since(start).Seconds()
	start = time.Now()
	res.Wrong = append(g.broken, g.rec.check()...)
	res.Checked = time.Since(start).Seconds()
	res.Calls, res.Jobs, res.Unknowns = int(g.rec.calls.Load()), len(g.rec.order), g.rec.unknowns
	return res, ctx.Err()
}

// dress puts a planted bug and lost answers around a store.
func (g *game) dress(slot *slot, s holdfast.Store, seed, i uint64) *slot {
	if g.world.Wrap != nil {
		s = g.world.Wrap(s)
	}
	slot.under = s
	slot.store = newLossy(s, rand.New(rand.NewPCG(seed, 1_000_000+i)))
	if g.world.Above != nil {
		slot.store = g.world.Above(slot.store)
	}
	return slot
}

// last looks at every job once everything is quiet, and at the counters.
func (g *game) last() error {
	s := g.slots[0].under
	counts := map[string][6]int64{}
	for _, id := range g.rec.order {
		o := &op{client: -1, kind: opShow, job: id, call: g.rec.now()}
		info, _, err := s.Show(g.ctx, id)
		switch {
		case errors.Is(err, holdfast.ErrNotFound):
			o.missing = true
		case err != nil:
			return fmt.Errorf("show at the end: %w", err)
		default:
			o.info = info
			c := counts[info.Queue]
			c[info.State]++
			counts[info.Queue] = c
		}
		o.ret = g.rec.now()
		g.rec.add(o)
	}
	all, err := s.Counts(g.ctx)
	if err != nil {
		return fmt.Errorf("counts at the end: %w", err)
	}
	for _, c := range all {
		if c.States != counts[c.Queue] {
			g.complain("queue %s has %v jobs in its states, but its counters say %v", c.Queue, counts[c.Queue], c.States)
		}
		delete(counts, c.Queue)
	}
	if len(counts) > 0 {
		g.complain("no counters for %v", counts)
	}
	return nil
}

func (g *game) complain(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.broken) < 5 {
		g.broken = append(g.broken, fmt.Sprintf(format, args...))
	}
}

// client is one caller with its own luck and, now and then, a new life as another consumer.
type client struct {
	*game
	number   int
	rng      *rand.Rand
	consumer holdfast.ID
	claims   int64
	slot     *slot
}

func newClient(g *game, number int, seed uint64) *client {
	c := &client{game: g, number: number, rng: rand.New(rand.NewPCG(seed, uint64(number)))}
	c.consumer = c.id()
	return c
}

func (c *client) id() holdfast.ID { return newID(c.rng) }

// newID makes an id from somebody's own luck, so that a seed names the same jobs each time.
func newID(luck *rand.Rand) (id holdfast.ID) {
	binary.BigEndian.PutUint64(id[:8], luck.Uint64())
	binary.BigEndian.PutUint64(id[8:], luck.Uint64())
	return id
}

// chance is true so often in a hundred.
func (c *client) chance(percent float64) bool { return c.rng.Float64()*100 < percent }

// act makes one call.
func (c *client) act() {
	c.slot = c.slots[c.rng.IntN(len(c.slots))]
	moves := []struct {
		weight float64
		do     func()
	}{
		{8, c.insert}, {26, c.claim}, {28, c.finish}, {12, c.extend}, {10, c.show}, {8, c.amend},
		{3, c.sweep}, {1.2, c.shift}, {0.8, c.purge}, {0.4, c.pause}, {0.2, c.reopen},
	}
	total := 0.0
	for _, m := range moves {
		total += m.weight
	}
	at := c.rng.Float64() * total
	for _, m := range moves {
		if at -= m.weight; at < 0 {
			m.do()
			return
		}
	}
}

// call makes a call, and repeats it while its outcome is unknown: always if must, else mostly. tell writes down what an
// answer means, and gives the ops of an unknown one, which cannot happen any more once a repeat was answered.
func (c *client) call(must bool, do func(context.Context, holdfast.Store) error, tell func(call, ret int64, try int, unknown bool) []*op) {
	var open []*op
	for try := 0; ; try++ {
		ctx, cancel := c.context(try)
		call := c.rec.now()
		for range c.rng.IntN(3) {
			runtime.Gosched() // a store in memory is so fast that clients would hardly meet
		}
		err := do(ctx, c.slot.get())
		ret := c.rec.now()
		cancel()
		c.rec.calls.Add(1)
		switch {
		case err == nil:
			c.rec.settle(open, ret)
			c.rec.add(tell(call, ret, try, false)...)
			return
		case errors.Is(err, holdfast.ErrUnknown):
			ops := tell(call, never, try, true)
			c.rec.add(ops...)
			open = append(open, ops...)
			if !must && c.chance(20) {
				return
			}
		case errors.Is(err, holdfast.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			if len(open) == 0 { // it did not happen, and nothing is owed
				return
			}
		default:
			c.complain("client %d: a call gave the error %v", c.number, err)
			return
		}
		if c.game.ctx.Err() != nil {
			return
		}
	}
}

// context is cancelled at a random moment in a few first tries.
func (c *client) context(try int) (context.Context, context.CancelFunc) {
	if try > 2 || !c.chance(4) {
		return c.game.ctx, func() {}
	}
	return context.WithTimeout(c.game.ctx, time.Duration(c.rng.Int64N(int64(2*time.Millisecond))))
}
