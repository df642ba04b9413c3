package holdfast

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// keeper is one consumer as the store knows it: it claims, and keeps what it has claimed alive with heartbeats.
type keeper struct {
	store  Store
	config Config
	id     ID
	queues []string     // for its record
	claims atomic.Int64 // number of the last claim
	kick   chan struct{}
	auto   bool // the loop runs only while something is held: for Get, which nobody closes

	mu    sync.Mutex
	holds map[Lease]*hold
	end   context.CancelFunc // of the automatic loop
	leave bool               // sign off when nothing is held any more
	// letGo gives back a job in hand whose queue was paused or whose cancel was asked, unless its handler has started.
	letGo  func(*hold) bool
	behind sync.WaitGroup // claims that are given back behind the caller's back
}

func newKeeper(s Store, c Config, queues []string) *keeper {
	return &keeper{store: s, config: c, id: NewID(), queues: slices.Clone(queues), kick: make(chan struct{}, 1), auto: true, holds: map[Lease]*hold{}}
}

// enlist makes the consumer known; again, it says that the consumer is still there.
func (k *keeper) enlist(ctx context.Context) error {
	return k.store.Record(ctx, Records{Consumers: []Consumer{{
		ID: k.id, Name: k.config.Name, Host: hostName(), PID: os.Getpid(), Version: Version(),
		Queues: k.queues, MaxCrashes: k.config.MaxCrashes,
	}}})
}

// retire signs off the consumer of a queue that nobody can take from any more, once nothing is held.
func (k *keeper) retire() {
	k.mu.Lock()
	k.leave = len(k.holds) > 0
	leave := k.leave
	k.mu.Unlock()
	if leave {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), k.config.Lease)
	defer cancel()
	if err := k.gone(ctx); err != nil && !errors.Is(err, ErrClosed) {
		k.config.Logger.Warn("sign off", "consumer", k.id, "error", err)
	}
}

// gone says that it has ended in peace.
func (k *keeper) gone(ctx context.Context) error {
	return k.store.Record(ctx, Records{Consumers: []Consumer{{ID: k.id, Name: k.config.Name, Host: hostName(), PID: os.Getpid(), Ended: true}}})
}

// claim takes up to n jobs. A claim whose answer was lost is asked again by its number; if ctx ends meanwhile, what it
// took is given back behind the caller's back.
func (k *keeper) claim(ctx context.Context, queues []string, n, suspects int) ([]*hold, Tick, error) {
	c := Claim{Consumer: k.id, Number: k.claims.Add(1), Queues: queues, N: n, Lease: k.config.Lease, Suspects: suspects}
	for try := 0; ; try++ {
		asked := time.Now()
		got, err := k.store.Claim(ctx, c)
		if err == nil {
			return k.add(got.Jobs, asked), got.Tick, nil
		}
		if !errors.Is(err, ErrUnknown) {
			return nil, Tick{}, err
		}
		if ctx.Err() != nil {
			k.behind.Go(func() { k.giveBack(context.WithoutCancel(ctx), c) })
			return nil, Tick{}, ctx.Err()
		}
		if try == 3 {
			return nil, Tick{}, err
		}
	}
}

// giveBack returns what a claim of unknown outcome may have taken.
func (k *keeper) giveBack(ctx context.Context, c Claim) {
	ctx, cancel := context.WithTimeout(ctx, k.config.Lease)
	defer cancel()
	got, err := k.store.Claim(ctx, c)
	if err != nil || len(got.Jobs) == 0 {
		return // the lease gives them back
	}
	outcomes := make([]Outcome, len(got.Jobs))
	for i, d := range got.Jobs {
		outcomes[i] = Outcome{Lease: d.Lease, Kind: OutcomeReleased, Unrun: true}
	}
	if _, err := k.store.Finish(ctx, outcomes); err != nil {
		k.config.Logger.Warn("give back after a lost claim", "jobs", len(outcomes), "error", err)
	}
}

func (k *keeper) add(jobs []Delivery, asked time.Time) []*hold {
	if len(jobs) == 0 {
		return nil
	}
	holds := make([]*hold, len(jobs))
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range jobs {
		holds[i] = newHold(k, &jobs[i], asked)
		k.holds[jobs[i].Lease] = holds[i]
	}
	if k.auto && k.end == nil {
		ctx, cancel := context.WithCancel(context.Background())
		k.end = cancel
		go k.run(ctx)
	}
	return holds
}

// drop forgets a job that was reported or lost.
func (k *keeper) drop(h *hold) {
	k.mu.Lock()
	delete(k.holds, h.lease)
	if k.end != nil && len(k.holds) == 0 {
		k.end()
		k.end = nil
	}
	leave := k.leave && len(k.holds) == 0
	k.leave = k.leave && !leave
	k.mu.Unlock()
	if leave {
		go k.retire()
	}
	h.mu.Lock()
	after := h.after
	h.after, h.dropped = nil, true
	h.mu.Unlock()
	for _, f := range after {
		f()
	}
}

// held is the number of jobs in our hands, those included whose report is under way.
func (k *keeper) held() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.holds)
}

// begin starts a job: after it, its handler may run. The start of a suspect is committed first, so that its consumer's
// death is known to be its doing.
func (k *keeper) begin(ctx context.Context, h *hold, cancel context.CancelCauseFunc) error {
	if h.info.Suspect() {
		answers, err := k.store.Extend(ctx, []Beat{{Lease: h.lease, For: k.config.Lease, Started: true}})
		if err == nil {
			err = answers[0].Err
		}
		if err != nil {
			return err
		}
	}
	if !h.begin(cancel) {
		return ErrLeaseLost
	}
	return nil
}

// attend looks after a job taken by Get: it is given back when ctx ends, and has failed when its MaxRun has passed.
func (k *keeper) attend(ctx context.Context, h *hold) {
	own := context.WithoutCancel(ctx)
	end := func(cause error) {
		ctx, cancel := context.WithTimeout(own, k.config.Lease)
		defer cancel()
		if h.committing() {
			if info, _, err := k.store.Show(ctx, h.lease.Job); err == nil && info.State == Done && info.Fence == h.lease.Fence {
				h.finish() // by the caller's own commit
				k.drop(h)
				return
			}
		}
		if err := h.report(ctx, cause); err != nil && !errorIsLost(err) {
			k.config.Logger.Warn("end a held job", "job", h.lease.Job, "queue", h.info.Queue, "error", err)
		}
		h.lose()
	}
	stop := context.AfterFunc(ctx, func() { end(ReleaseAfter(0)) })
	after := []func(){func() { stop() }}
	if d := orDefault(h.info.MaxRun, k.config.MaxRun); d > 0 {
		timer := time.AfterFunc(d, func() { end(fmt.Errorf("%w after %v", ErrTimedOut, d)) })
		after = append(after, func() { timer.Stop() })
	}
	h.mu.Lock()
	late := h.dropped
	if !late {
		h.after = after
	}
	h.mu.Unlock()
	if late { // it has ended meanwhile
		for _, f := range after {
			f()
		}
	}
}

// run sends heartbeats every third of a lease, and at once when somebody asks something of our jobs.
func (k *keeper) run(ctx context.Context) {
	var listening sync.WaitGroup
	listening.Go(func() { k.listen(ctx) })
	defer listening.Wait()
	ticker := time.NewTicker(k.config.Lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-k.kick:
		}
		k.beatAll(ctx)
	}
}

// listen waits for cancel requests.
func (k *keeper) listen(ctx context.Context) {
	var since Tick
	for ctx.Err() == nil {
		tick, err := k.store.Wait(ctx, Wait{Consumer: k.id, Since: since})
		if errors.Is(err, ErrClosed) {
			k.loseAll() // the store has let go of us
			return
		}
		if err != nil {
			if ctx.Err() == nil && sleep(ctx, time.Second) != nil {
				return
			}
			continue
		}
		since = tick
		select {
		case k.kick <- struct{}{}:
		default:
		}
	}
}

// beatAll sends one heartbeat for each job in hand. A call that waits (a writer is frozen: nobody else can take the jobs
// either) loses nothing; a call that fails for a whole lease does.
func (k *keeper) beatAll(ctx context.Context) {
	holds := k.all()
	k.letGoOverdue(holds)
	var beats []Beat
	var beaten []*hold
	for _, h := range holds {
		if b, ok := h.beat(k.config.Lease); ok {
			beats, beaten = append(beats, b), append(beaten, h)
		}
	}
	for len(beats) > 0 {
		n := min(len(beats), MaxBatchJobs)
		k.beatSome(ctx, beats[:n], beaten[:n])
		beats, beaten = beats[n:], beaten[n:]
	}
}

func (k *keeper) beatSome(ctx context.Context, beats []Beat, holds []*hold) {
	sent := time.Now()
	answers, err := k.store.Extend(ctx, beats)
	if err != nil {
		if ctx.Err() != nil {
			return
		}
		k.config.Logger.Warn("heartbeat", "jobs", len(beats), "error", err)
		for i, h := range holds {
			h.unsent(beats[i].Log)
			if h.overdue() {
				k.config.Logger.Warn("no heartbeat got through for a whole lease: job given up", "job", h.lease.Job, "queue", h.info.Queue)
				k.lost(h)
			}
		}
		return
	}
	for i, a := range answers {
		h := holds[i]
		switch {
		case errorIsLost(a.Err) && h.reported():
			// Done, or DoneIn, came between: its own answer says what became of the lease.
		case errorIsLost(a.Err):
			k.config.Logger.Warn("lease lost", "job", h.lease.Job, "queue", h.info.Queue, "fence", h.lease.Fence)
			k.lost(h)
		case a.Err != nil:
			k.config.Logger.Warn("heartbeat", "job", h.lease.Job, "queue", h.info.Queue, "error", a.Err)
		case (a.CancelRequested || a.Paused) && k.letGo != nil && k.letGo(h):
		default:
			h.beaten(sent.Add(k.config.Lease))
			if a.CancelRequested {
				h.stop(ErrCancelled)
			}
		}
	}
}

// letGoOverdue gives back what has not started within a third of its lease: another may be free.
func (k *keeper) letGoOverdue(holds []*hold) {
	if k.letGo == nil {
		return
	}
	for _, h := range holds {
		if time.Since(h.claimed) > k.config.Lease/3 && h.unstarted() {
			k.letGo(h)
		}
	}
}

// all gives the jobs in our hands.
func (k *keeper) all() []*hold {
	k.mu.Lock()
	defer k.mu.Unlock()
	holds := make([]*hold, 0, len(k.holds))
	for _, h := range k.holds {
		holds = append(holds, h)
	}
	return holds
}

func (k *keeper) loseAll() {
	for _, h := range k.all() {
		k.lost(h)
	}
}

func (k *keeper) lost(h *hold) {
	h.lose()
	k.drop(h)
}

// Version is the version of this module as the binary knows it, "devel" for a build from a working copy.
func Version() string { return version() }

var version = sync.OnceValue(func() string {
	const path = "github.com/holdfastq/holdfast"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if m.Path == path && m.Version != "" && m.Version != "(devel)" {
			return m.Version
		}
	}
	return "devel"
})
