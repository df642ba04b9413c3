package holdfast

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Consume takes and handles jobs of all its handlers' queues, and runs manager and cleaner, until ctx ends; then it
// takes no more, lets running handlers finish within Grace, cancels the rest with ErrStopping, and gives back what has
// returned or never started. A handler's context is not cancelled by ctx but, with context.Cause, by ErrLeaseLost,
// ErrCancelled, ErrTimedOut or ErrStopping.
//
// A clean stop returns nil. ErrInvalid: the config or the handlers are wrong. ErrStopping: some handlers ignored their
// context; their jobs stay held until they return or the process ends. ErrClosed, ErrUnusable, ErrCorrupt: the store
// cannot go on. While the store is out of reach Consume waits and comes back by itself.
func Consume(ctx context.Context, c Config, handlers ...Handler) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	e, err := newEngine(c, handlers)
	if err != nil {
		return err
	}
	return e.run(ctx)
}

// engine is one Consume.
//
// The dispatcher claims; workers, one goroutine for each busy slot, take what was claimed and run handlers; the reporter
// writes outcomes in batches. Jobs wait between dispatcher and workers in hand, so that a fast handler never waits for a
// commit.
type engine struct {
	config   Config
	store    Store
	keeper   *keeper
	handlers map[string]Handler
	queues   []string // rotated at each claim
	reports  *reporter
	base     context.Context // of handlers

	wake    chan struct{} // the dispatcher should look again
	ending  chan struct{} // closed when Consume is told to end
	working sync.WaitGroup

	mu        sync.Mutex
	inHand    []*hold
	workers   int
	suspects  int // in hand or running: one at most
	stopping  bool
	running   map[*hold]struct{}
	paces     map[string]*pace
	interrupt context.CancelFunc // of the dispatcher's Wait, while no slot is free
	alone     context.CancelFunc // of the dispatcher's Wait, while a suspect keeps others from being taken
}

func newEngine(c Config, handlers []Handler) (*engine, error) {
	if len(handlers) == 0 {
		return nil, fmt.Errorf("%w: Consume needs at least one handler", ErrInvalid)
	}
	e := &engine{
		config: c, store: handlers[0].store, handlers: map[string]Handler{}, wake: make(chan struct{}, 1), ending: make(chan struct{}),
		running: map[*hold]struct{}{}, paces: map[string]*pace{},
	}
	for _, h := range handlers {
		if h.run == nil || h.store == nil {
			return nil, fmt.Errorf("%w: queue %q has no function to handle its jobs", ErrInvalid, h.queue)
		}
		if err := CheckQueueName(h.queue); err != nil {
			return nil, err
		}
		if h.store != e.store {
			return nil, fmt.Errorf("%w: the handlers of one Consume must share a store; queue %s has another", ErrInvalid, h.queue)
		}
		if _, twice := e.handlers[h.queue]; twice {
			return nil, fmt.Errorf("%w: queue %s has two handlers", ErrInvalid, h.queue)
		}
		e.handlers[h.queue] = h
		e.queues = append(e.queues, h.queue)
		e.paces[h.queue] = &pace{}
	}
	e.keeper = newKeeper(e.store, c, e.queues)
	e.keeper.auto = false
	e.keeper.letGo = e.letGo
	e.reports = newReporter(e)
	return e, nil
}

// run is the life of a Consume.
func (e *engine) run(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	e.base = context.WithoutCancel(ctx)
	if err := e.keeper.enlist(ctx); err != nil {
		if ctx.Err() == nil {
			return fmt.Errorf("consume: %w", err)
		}
		e.signOff() // who is told to end while signing on leaves nothing behind
		return nil
	}
	service, endService := context.WithCancel(e.base) // heartbeats and reports outlive ctx
	var serving sync.WaitGroup
	serving.Go(func() { e.keeper.run(service) })
	serving.Go(func() { e.reports.run(service) })

	var maintaining sync.WaitGroup
	upkeep, endUpkeep := context.WithCancel(ctx)
	maintaining.Go(func() { maintain(upkeep, e.store, e.config) })
	maintaining.Go(func() { e.sayAlive(upkeep) })

	err := e.dispatch(ctx)

	endUpkeep()
	maintaining.Wait()
	left := e.stop()
	end := func() {
		e.reports.drain(e.config.Lease)
		endService()
		serving.Wait()
		e.keeper.behind.Wait()
		e.signOff()
	}
	if left == 0 {
		end()
		return err
	}
	go func() { // their jobs stay ours, with heartbeats, as long as the handlers run
		e.working.Wait()
		end()
	}()
	return errors.Join(err, fmt.Errorf("%w: %d handlers ignore their cancelled context; their jobs stay held until they return or this process ends", ErrStopping, left))
}

// signOff says that the consumer has ended in peace.
func (e *engine) signOff() {
	ctx, cancel := context.WithTimeout(e.base, killAfter)
	defer cancel()
	if err := e.keeper.gone(ctx); err != nil && !errors.Is(err, ErrClosed) {
		e.config.Logger.Warn("sign off", "consumer", e.keeper.id, "error", err)
	}
}

// dispatch claims until ctx ends, or the store cannot go on.
func (e *engine) dispatch(ctx context.Context) error {
	trouble := time.Duration(0)
	for ctx.Err() == nil {
		n, suspects, queues := e.want()
		if n == 0 {
			select {
			case <-ctx.Done():
			case <-e.wake:
			}
			continue
		}
		holds, tick, err := e.keeper.claim(ctx, queues, n, suspects)
		if err == nil && len(holds) == 0 {
			err = e.wait(ctx, queues, suspects, tick)
		}
		if err != nil && ctx.Err() == nil {
			if errors.Is(err, ErrClosed) || errors.Is(err, ErrUnusable) || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrInvalid) {
				return fmt.Errorf("consume: %w", err)
			}
			trouble = min(max(2*trouble, 100*time.Millisecond), 5*time.Second)
			e.config.Logger.Warn("claim", "error", err, "again_in", trouble)
			_ = sleep(ctx, trouble)
			continue
		}
		trouble = 0
		e.give(holds)
	}
	return nil
}

// wait waits for jobs; it ends early, without error, when a slot gets free that could take from other queues too, or
// when the suspect in hand has ended and another could be taken: no store announces either.
func (e *engine) wait(ctx context.Context, queues []string, suspects int, since Tick) error {
	waiting, cancel := context.WithTimeout(ctx, e.config.Poll)
	defer cancel()
	e.mu.Lock()
	if len(queues) < len(e.queues) {
		if e.config.Concurrency > e.workers {
			e.mu.Unlock()
			return nil
		}
		e.interrupt = cancel
	}
	if suspects == 0 {
		if e.suspects == 0 {
			e.interrupt = nil
			e.mu.Unlock()
			return nil
		}
		e.alone = cancel
	}
	e.mu.Unlock()
	_, err := e.store.Wait(waiting, Wait{Queues: queues, Since: since})
	e.mu.Lock()
	e.interrupt, e.alone = nil, nil
	e.mu.Unlock()
	if err != nil && waiting.Err() != nil {
		return nil
	}
	return err
}

// want says how many jobs to claim now, and of which queues. What is claimed ahead is at most what the measured pace
// starts within aheadFor.
func (e *engine) want() (n, suspects int, queues []string) {
	held := e.keeper.held()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.suspects == 0 {
		suspects = 1
	}
	e.queues = append(e.queues[1:], e.queues[0])
	ahead := 0
	var fast []string
	for _, q := range e.queues {
		if a := e.paces[q].ahead(e.config.Concurrency); a > 0 {
			ahead = max(ahead, a)
			fast = append(fast, q)
		}
	}
	target := e.config.Concurrency + ahead
	if held > 2*target+e.config.Concurrency {
		return 0, 0, nil // reports are behind
	}
	free := e.config.Concurrency - e.workers - len(e.inHand)
	switch {
	case free > 0 && len(fast) == len(e.queues):
		return max(free, target-held), suspects, slices.Clone(e.queues)
	case free > 0:
		return free, suspects, slices.Clone(e.queues)
	case len(fast) > 0 && len(e.inHand) <= ahead/2 && target > held:
		return target - held, suspects, fast
	}
	return 0, 0, nil
}

// give puts claimed jobs in hand and starts workers for them.
func (e *engine) give(holds []*hold) {
	if len(holds) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range holds {
		if h.info.Suspect() {
			e.suspects++
		}
	}
	e.inHand = append(e.inHand, holds...)
	for start := min(e.config.Concurrency-e.workers, len(e.inHand)); start > 0; start-- {
		e.workers++
		e.working.Go(e.work)
	}
}

// next gives a worker its next job; nil: there is none, the worker has left its slot.
func (e *engine) next() *hold {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.inHand) > 0 && !e.stopping {
		h := e.inHand[0]
		e.inHand[0] = nil
		e.inHand = e.inHand[1:]
		e.poke()
		if !h.unstarted() {
			e.settled(h)
			continue // lost or given back meanwhile
		}
		e.running[h] = struct{}{}
		return h
	}
	e.workers--
	e.poke()
	return nil
}

// poke makes the dispatcher look again. Callers hold mu.
func (e *engine) poke() {
	if e.workers < e.config.Concurrency && e.interrupt != nil {
		e.interrupt()
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// look makes the dispatcher look again.
func (e *engine) look() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.poke()
}

// settled notes that a job is out of our hands. Callers hold mu.
func (e *engine) settled(h *hold) {
	delete(e.running, h)
	if h.info.Suspect() {
		e.suspects--
		if e.alone != nil {
			e.alone()
		}
	}
}

// letGo gives back a job whose handler has not started; false: it has, or the job is not ours any more.
func (e *engine) letGo(h *hold) bool {
	if !h.letGo() {
		return false
	}
	e.reports.add(h, Outcome{Lease: h.lease, Kind: OutcomeReleased, Unrun: true})
	return true
}

// stop ends the work: what has not started is given back, handlers may finish within Grace, then are cancelled. It gives
// the number of handlers that are still running.
func (e *engine) stop() int {
	e.mu.Lock()
	e.stopping = true
	inHand := e.inHand
	e.inHand = nil
	e.mu.Unlock()
	close(e.ending)
	for _, h := range inHand {
		e.letGo(h)
	}
	finished := make(chan struct{})
	go func() { e.working.Wait(); close(finished) }()
	if waitFor(finished, e.config.Grace) {
		return 0
	}
	e.mu.Lock()
	for h := range e.running {
		h.stop(ErrStopping)
	}
	e.mu.Unlock()
	if waitFor(finished, killAfter) {
		return 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.workers
}

func waitFor(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// sayAlive keeps the consumer's record fresh, for pages.
func (e *engine) sayAlive(ctx context.Context) {
	for sleep(ctx, time.Minute) == nil {
		if err := e.keeper.enlist(ctx); err != nil && ctx.Err() == nil {
			e.config.Logger.Warn("record consumer", "consumer", e.keeper.id, "error", err)
		}
	}
}
