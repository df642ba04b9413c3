package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

// riverQueue is River on its SQLite driver; README.md gives the reason for each setting.
type riverQueue struct {
	db     *sql.DB
	driver *riversqlite.Driver
	put    *river.Client[*sql.Tx] // inserts only
	params []river.InsertManyParams
}

// riverArgs is 100 bytes of JSON.
type riverArgs struct {
	Text string `json:"text"`
}

func (riverArgs) Kind() string { return "bench" }

var riverData = riverArgs{strings.Repeat("x", dataBytes-len(`{"text":""}`))}

// riverWorker does nothing but count.
type riverWorker struct {
	river.WorkerDefaults[riverArgs]
	goal *goal
}

func (w *riverWorker) Work(context.Context, *river.Job[riverArgs]) error {
	w.goal.add(1)
	return nil
}

var riverLog = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))

func openRiver(ctx context.Context, path string) (_ queue, err error) {
	db, err := openSQLite(path, 1)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			db.Close()
		}
	}()
	q := &riverQueue{db: db, driver: riversqlite.New(db)}
	migrator, err := rivermigrate.New(q.driver, &rivermigrate.Config{Logger: riverLog})
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	if q.put, err = river.NewClient(q.driver, &river.Config{Logger: riverLog}); err != nil {
		return nil, err
	}
	for range batch {
		q.params = append(q.params, river.InsertManyParams{Args: riverData})
	}
	return q, nil
}

func (q *riverQueue) Put(ctx context.Context) error {
	_, err := q.put.Insert(ctx, riverData, nil)
	return err
}

func (q *riverQueue) PutBatch(ctx context.Context) error {
	n, err := q.put.InsertManyFast(ctx, q.params)
	if err == nil && n != len(q.params) {
		err = fmt.Errorf("%d of %d jobs were inserted", n, len(q.params))
	}
	return err
}

func (q *riverQueue) Consume(ctx context.Context, g *goal) error {
	workers := river.NewWorkers()
	river.AddWorker(workers, &riverWorker{goal: g})
	client, err := river.NewClient(q.driver, &river.Config{
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: slots}},
		Workers:           workers,
		FetchCooldown:     river.FetchCooldownMin,
		FetchPollInterval: river.FetchPollIntervalMin,
		JobTimeout:        -1,
		Logger:            riverLog,

		CompletedJobRetentionPeriod: 7 * 24 * time.Hour,
	})
	if err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return err
	}
	select {
	case <-g.reached:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return errors.Join(err, client.Stop(context.WithoutCancel(ctx))) // writes what its completer still holds
}

func (q *riverQueue) Finished(ctx context.Context) (n int, err error) {
	err = q.db.QueryRowContext(ctx, `select count(*) from river_job where state = 'completed'`).Scan(&n)
	return n, err
}

func (q *riverQueue) Close() error { return q.db.Close() }
