package holdfast

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// Queue is a name, and the type of the jobs in it, which are kept as JSON. The same name in another program, or with
// another type, is the same queue.
type Queue[T any] struct {
	store    Store
	scope    Scope
	name     string
	defaults []PutOption
	take     *taker // shared with what In makes of it
}

// NewQueue makes a queue of a store; nothing is written. Make it once and keep it: the first Get or TryGet makes it a
// consumer of its own, which signs off some time after the Queue is garbage. The defaults are options of every Put and end
// up in each job. A bad name is reported by the first call that uses it: ErrInvalid.
func NewQueue[T any](s Store, name string, defaults ...PutOption) *Queue[T] {
	return &Queue[T]{store: s, scope: storeScope{s}, name: name, defaults: defaults, take: &taker{store: s, turn: make(chan struct{}, 1)}}
}

// Name is the queue's name.
func (q *Queue[T]) Name() string { return q.name }

// In gives the same queue, whose Puts are committed together with s, or not at all: with a job's completion, or with the
// caller's own transaction, which then also says into which database. While a transaction is open on SQLite, a Put
// without In waits for its end: in the same goroutine for ever, so use In there.
//
// With a job as scope, whether a unique key is held is seen at the completion only: the id that Put gives may then be of a
// job that is never made (KeepFirst, Replace).
func (q *Queue[T]) In(s Scope) *Queue[T] {
	in := *q
	in.scope = s
	return &in
}

// checkScope says whether the queue's Puts can be committed with its scope.
func (q *Queue[T]) checkScope() error {
	switch s := q.scope.(type) {
	case nil:
		return fmt.Errorf("%w: In needs a job or a Tx", ErrInvalid)
	case Tx:
		if s.store == nil {
			return fmt.Errorf("%w: the Tx is empty; a store's Join makes one", ErrInvalid)
		}
	case interface{ keptBy() Store }:
		if s.keptBy() != q.store {
			return fmt.Errorf("%w: the job is of another store than the queue", ErrInvalid)
		}
	}
	return nil
}

// Put puts one job. A nil error means that it is on disk (with In: that it will be, with its scope) and is delivered
// until it is done, failed or cancelled. The id is the job's, or, if its unique key is held, that of the job which holds
// it. ErrUnknown: Put again with the same WithID, it counts once. ErrInvalid, ErrTooLarge, ErrDuplicate: nothing was put.
func (q *Queue[T]) Put(ctx context.Context, data T, opts ...PutOption) (ID, error) {
	ids, err := q.put(ctx, []T{data}, opts, true)
	if len(ids) == 0 {
		return ID{}, err
	}
	return ids[0], err
}

// PutMany puts jobs, all or none, in one step: at most 10,000 with at most 8 MB of data together. The answer has an id
// for each, as Put gives it. WithID is refused here. Errors as with Put.
func (q *Queue[T]) PutMany(ctx context.Context, data []T, opts ...PutOption) ([]ID, error) {
	return q.put(ctx, data, opts, false)
}

func (q *Queue[T]) put(ctx context.Context, data []T, opts []PutOption, single bool) ([]ID, error) {
	model := NewJob{Queue: q.name}
	if q.store == nil {
		return nil, fmt.Errorf("%w: queue %q has no store", ErrInvalid, q.name)
	}
	if err := q.checkScope(); err != nil {
		return nil, fmt.Errorf("put in queue %s: %w", q.name, err)
	}
	for i, list := range [][]PutOption{q.defaults, opts} {
		if i == 1 && !model.ID.IsZero() {
			return nil, fmt.Errorf("%w: WithID is for one Put, not a default of queue %q", ErrInvalid, q.name)
		}
		for _, o := range list {
			if o.apply == nil {
				continue // the zero PutOption
			}
			if err := o.apply(&model); err != nil {
				return nil, fmt.Errorf("put in queue %s: %w", q.name, err)
			}
		}
	}
	if !single && !model.ID.IsZero() {
		return nil, fmt.Errorf("put in queue %s: %w: WithID is for one job, not for PutMany", q.name, ErrInvalid)
	}
	if len(data) == 0 {
		return nil, nil
	}
	jobs := make([]NewJob, len(data))
	for i := range data {
		bytes, err := json.Marshal(data[i])
		if err != nil {
			return nil, fmt.Errorf("put in queue %s: %w: data as JSON: %w", q.name, ErrInvalid, err)
		}
		jobs[i] = model
		jobs[i].Data = bytes
		if model.ID.IsZero() {
			jobs[i].ID = NewID()
		}
	}
	if err := checkBatch(jobs); err != nil {
		return nil, fmt.Errorf("put in queue %s: %w", q.name, err)
	}
	made, err := q.scope.put(ctx, jobs)
	if err != nil {
		return nil, fmt.Errorf("put in queue %s: %w", q.name, err)
	}
	ids := make([]ID, len(made))
	var refused []error
	for i, m := range made {
		ids[i] = m.ID
		if m.Err != nil {
			refused = append(refused, fmt.Errorf("put in queue %s: %w", q.name, m.Err))
		}
	}
	if len(refused) > 0 {
		return nil, errors.Join(refused[:min(len(refused), 10)]...)
	}
	return ids, nil
}

// Get takes a job, waiting for one until ctx ends. It is held, with heartbeats, until Done, Fail or Release, until its
// MaxRun has passed (then the attempt has failed), or until ctx ends (then it is given back): so ctx must outlive the
// work. Watch Lost. Data that is no T fails the attempt and is skipped.
//
// Get is for programs with a loop of their own; Consume does more: slots, panics, shutdown, manager and cleaner.
func (q *Queue[T]) Get(ctx context.Context) (*Job[T], error) { return q.get(ctx, true) }

// TryGet is Get, except that it gives ErrEmpty instead of waiting.
func (q *Queue[T]) TryGet(ctx context.Context) (*Job[T], error) { return q.get(ctx, false) }

func (q *Queue[T]) get(ctx context.Context, wait bool) (*Job[T], error) {
	if err := CheckQueueName(q.name); err != nil {
		return nil, err
	}
	for {
		h, err := q.take.take(ctx, q.name, wait)
		if err != nil {
			if errors.Is(err, ErrEmpty) {
				return nil, err
			}
			return nil, fmt.Errorf("get from queue %s: %w", q.name, err)
		}
		job, err := decode[T](h)
		if err == nil {
			return job, nil
		}
		if err := h.report(ctx, err); err != nil && !errorIsLost(err) {
			return nil, err
		}
	}
}

// decode makes a typed job of a delivery.
func decode[T any](h *hold) (*Job[T], error) {
	job := &Job[T]{Info: *h.info, hold: h}
	if err := json.Unmarshal(h.info.Data, &job.Data); err != nil {
		return nil, fmt.Errorf("data is no %T: %w", job.Data, err)
	}
	return job, nil
}

// Wait waits until the job has ended and gives it, with its result; if it has ended already, at once. It looks every
// half second. ErrNotFound: there is no such job, or retention has removed it.
func (q *Queue[T]) Wait(ctx context.Context, id ID) (Info, error) {
	pause := 10 * time.Millisecond
	for {
		info, _, err := q.store.Show(ctx, id)
		if err != nil || info.State.Ended() {
			return info, err
		}
		if err := sleep(ctx, pause); err != nil {
			return info, err
		}
		pause = min(pause*3/2, 500*time.Millisecond)
	}
}

// Handler is a queue and what handles its jobs. See Consume.
type Handler struct {
	store Store
	queue string
	run   func(context.Context, *hold) error
}

// Handle gives the queue's jobs to f. What f returns is the attempt's outcome: nil is done, an error another attempt, or
// Permanent, RetryAfter, ReleaseAfter. A panic is a failed attempt with its stack. Data that is no T is a failed attempt.
//
// f's context lives as long as the attempt; it is not the one given to Consume. It is cancelled, with context.Cause
// ErrLeaseLost, ErrCancelled, ErrTimedOut or ErrStopping.
func (q *Queue[T]) Handle(f func(context.Context, *Job[T]) error) Handler {
	if f == nil {
		return Handler{store: q.store, queue: q.name} // Consume refuses it
	}
	return Handler{store: q.store, queue: q.name, run: func(ctx context.Context, h *hold) error {
		job, err := decode[T](h)
		if err != nil {
			return err
		}
		return f(ctx, job)
	}}
}

// taker is what Get takes with: a consumer of its own, made at the first Get.
type taker struct {
	store  Store
	turn   chan struct{} // a mutex that obeys a context
	keeper *keeper
}

// ready gives the keeper, and makes it known to the store first.
func (t *taker) ready(ctx context.Context, queue string) (*keeper, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if t.keeper == nil {
		config, err := Config{}.withDefaults()
		if err != nil {
			return nil, err
		}
		k := newKeeper(t.store, config, []string{queue})
		if err := k.enlist(ctx); err != nil {
			return nil, err
		}
		t.keeper = k
		// Nobody closes a Queue. When the last one that took with it is garbage and holds nothing, the consumer signs off.
		runtime.AddCleanup(t, func(k *keeper) { go k.retire() }, k)
	}
	return t.keeper, nil
}

func (t *taker) take(ctx context.Context, queue string, wait bool) (*hold, error) {
	k, err := t.ready(ctx, queue)
	if err != nil {
		return nil, err
	}
	for {
		holds, tick, err := k.claim(ctx, []string{queue}, 1, 1)
		if err != nil {
			return nil, err
		}
		if len(holds) > 0 {
			h := holds[0]
			if err := k.begin(ctx, h, nil); err != nil {
				k.lost(h)
				if errorIsLost(err) {
					continue
				}
				return nil, err
			}
			k.attend(ctx, h)
			return h, nil
		}
		if !wait {
			return nil, ErrEmpty
		}
		if _, err := k.store.Sweep(ctx, Sweep{Every: k.config.SweepEvery, Lease: k.config.Lease, MaxCrashes: k.config.MaxCrashes, Limit: sweepStep}); err != nil {
			return nil, err
		}
		if _, err := k.store.Wait(ctx, Wait{Queues: []string{queue}, Since: tick}); err != nil {
			return nil, err
		}
	}
}

// sleep waits, or gives the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func errorIsLost(err error) bool { return errors.Is(err, ErrLeaseLost) }
