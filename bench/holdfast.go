package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
	"github.com/holdfastq/holdfast/sqlite"
)

// holdfastQueue is Holdfast as its users call it.
type holdfastQueue struct {
	store holdfast.Store
	jobs  *holdfast.Queue[holdfastData]
	many  []holdfastData
}

// holdfastData is 100 bytes of JSON.
type holdfastData struct {
	Text string `json:"text"`
}

const holdfastName = "bench"

var (
	holdfastOne = holdfastData{strings.Repeat("x", dataBytes-len(`{"text":""}`))}
	holdfastLog = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
)

func openHoldfast(ctx context.Context, path string) (queue, error) {
	s, err := sqlite.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	return newHoldfast(s), nil
}

func openHoldfastStore(ctx context.Context, path string) (queue, error) {
	s, err := sqlite.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	return newStoreQueue(s), nil
}

// openMemory is the engine without a disk: what remains when the store costs next to nothing.
func openMemory(context.Context, string) (queue, error) { return newHoldfast(memory.New()), nil }

func newHoldfast(s holdfast.Store) *holdfastQueue {
	q := &holdfastQueue{store: s, jobs: holdfast.NewQueue[holdfastData](s, holdfastName)}
	for range batch {
		q.many = append(q.many, holdfastOne)
	}
	return q
}

func (q *holdfastQueue) Put(ctx context.Context) error {
	_, err := q.jobs.Put(ctx, holdfastOne)
	return err
}

func (q *holdfastQueue) PutBatch(ctx context.Context) error {
	_, err := q.jobs.PutMany(ctx, q.many)
	return err
}

func (q *holdfastQueue) Consume(ctx context.Context, g *goal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-g.reached: // Consume returns when every outcome is on disk
			cancel()
		case <-ctx.Done():
		}
	}()
	return holdfast.Consume(ctx, holdfast.Config{Concurrency: slots, Logger: holdfastLog},
		q.jobs.Handle(func(context.Context, *holdfast.Job[holdfastData]) error {
			g.add(1)
			return nil
		}))
}

func (q *holdfastQueue) Finished(ctx context.Context) (int, error) {
	return finishedIn(ctx, q.store)
}

func (q *holdfastQueue) Close() error { return q.store.Close() }

func finishedIn(ctx context.Context, s holdfast.Store) (int, error) {
	all, err := s.Counts(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, c := range all {
		n += int(c.Of(holdfast.Done))
	}
	return n, nil
}

// storeQueue is the Store alone, in the plainest loop: claim a batch, finish it. What Consume adds is the difference to
// holdfastQueue.
type storeQueue struct {
	store    holdfast.Store
	consumer holdfast.ID
	data     []byte
}

func newStoreQueue(s holdfast.Store) *storeQueue {
	return &storeQueue{s, holdfast.NewID(), []byte(`{"text":"` + holdfastOne.Text + `"}`)}
}

func (q *storeQueue) Put(ctx context.Context) error { return q.put(ctx, 1) }

func (q *storeQueue) PutBatch(ctx context.Context) error { return q.put(ctx, batch) }

func (q *storeQueue) put(ctx context.Context, n int) error {
	jobs := make([]holdfast.NewJob, n)
	for i := range jobs {
		jobs[i] = holdfast.NewJob{ID: holdfast.NewID(), Queue: holdfastName, Data: q.data}
	}
	_, err := q.store.Insert(ctx, holdfast.Insert{Jobs: jobs})
	return err
}

func (q *storeQueue) Consume(ctx context.Context, g *goal) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	atGoal := errors.New("goal reached")
	go func() {
		select {
		case <-g.reached:
			cancel(atGoal)
		case <-ctx.Done():
		}
	}()
	err := q.consume(ctx, g)
	if context.Cause(ctx) == atGoal {
		return nil
	}
	return err
}

func (q *storeQueue) consume(ctx context.Context, g *goal) error {
	queues := []string{holdfastName}
	err := q.store.Record(ctx, holdfast.Records{Consumers: []holdfast.Consumer{{ID: q.consumer, Name: "bench", PID: os.Getpid(), Queues: queues}}})
	for number := int64(1); err == nil; number++ {
		var claimed holdfast.Claimed
		claimed, err = q.store.Claim(ctx, holdfast.Claim{
			Consumer: q.consumer, Number: number, Queues: queues, N: batch, Lease: 30 * time.Second, Suspects: 1,
		})
		switch {
		case err != nil:
		case len(claimed.Jobs) == 0:
			_, err = q.store.Wait(ctx, holdfast.Wait{Queues: queues, Consumer: q.consumer, Since: claimed.Tick})
		default:
			err = q.finish(ctx, claimed.Jobs)
			g.add(len(claimed.Jobs))
		}
	}
	return err
}

func (q *storeQueue) finish(ctx context.Context, jobs []holdfast.Delivery) error {
	outcomes := make([]holdfast.Outcome, len(jobs))
	for i, j := range jobs {
		outcomes[i] = holdfast.Outcome{Lease: j.Lease, Kind: holdfast.OutcomeDone}
	}
	finished, err := q.store.Finish(ctx, outcomes)
	for _, f := range finished {
		err = errors.Join(err, f.Err)
	}
	return err
}

func (q *storeQueue) Finished(ctx context.Context) (int, error) { return finishedIn(ctx, q.store) }

func (q *storeQueue) Close() error { return q.store.Close() }
