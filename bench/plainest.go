package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	_ "modernc.org/sqlite"
)

// plainest is the plainest loop that can be called a queue: a table, an index on what waits, prepared statements, one
// connection. It knows no leases, attempts, ids or errors.
type plainest struct {
	db                 *sql.DB
	dialect            dialect
	put1, take, finish *sql.Stmt
	more               chan struct{} // something was put
	data               []byte
}

// A dialect is a table and its three statements.
type dialect struct {
	table, put, take, finish string
	putArgs                  func(data []byte) []any
	takeArgs, finishArgs     func() []any
}

// bare: what a job carries, and how far it is.
var bare = dialect{
	table: `
		create table job (id integer primary key, state integer not null, data blob not null);
		create index ready on job (id) where state = 0`,
	put:        `insert into job (state, data) values (0, ?)`,
	take:       `update job set state = 1 where id in (select id from job where state = 0 order by id limit 1000) returning id, data`,
	finish:     `update job set state = 2 where id = ?`,
	putArgs:    func(data []byte) []any { return []any{data} },
	takeArgs:   func() []any { return nil },
	finishArgs: func() []any { return nil },
}

// sameRows: the columns and indexes without which there is no history and no safe repeat: the price of the rows alone.
var sameRows = dialect{
	table: `
		create table job (
			seq integer primary key, id blob not null unique, queue integer not null, state integer not null,
			priority integer not null, run_at integer not null, fence integer not null default 0,
			lease_until integer, consumer integer, attempt integer not null default 0, failures integer not null default 0,
			made_at integer not null, started_at integer, ended_at integer, data blob not null) strict;
		create index ready on job (queue, priority, run_at, seq) where state = 1;
		create index leased on job (lease_until) where state = 2;
		create index ended on job (queue, state, ended_at, seq) where state >= 3`,
	put: `insert into job (id, queue, state, priority, run_at, made_at, data) values (?1, 1, 1, 0, ?2, ?2, ?3)`,
	take: `
		update job set state = 2, fence = fence + 1, attempt = attempt + 1, consumer = 1, started_at = ?1, lease_until = ?1 + 30000
		where seq in (select seq from job where state = 1 and queue = 1 and priority = 0 order by run_at, seq limit 1000)
		returning seq, data`,
	finish: `update job set state = 3, ended_at = ?2, lease_until = null where seq = ?1 and state = 2`,
	putArgs: func(data []byte) []any {
		id := make([]byte, 16)
		rand.Read(id[6:])
		now := time.Now().UnixMilli()
		for i := range 6 {
			id[i] = byte(now >> (40 - 8*i))
		}
		return []any{id, now, data}
	},
	takeArgs:   func() []any { return []any{time.Now().UnixMilli()} },
	finishArgs: func() []any { return []any{time.Now().UnixMilli()} },
}

func openPlainest(ctx context.Context, path string) (queue, error) { return openPlain(ctx, path, bare) }
func openSameRows(ctx context.Context, path string) (queue, error) {
	return openPlain(ctx, path, sameRows)
}

// openSQLite gives a pool that syncs every commit. Transactions take the write lock when they begin, so that none fails
// because another wrote first.
func openSQLite(path string, conns int) (*sql.DB, error) {
	settings := url.Values{
		"_pragma": {"journal_mode(wal)", "synchronous(full)", "busy_timeout(10000)"},
		"_txlock": {"immediate"},
	}
	db, err := sql.Open("sqlite", "file:"+path+"?"+settings.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

func openPlain(ctx context.Context, path string, d dialect) (_ queue, err error) {
	db, err := openSQLite(path, 1)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			db.Close()
		}
	}()
	if _, err := db.ExecContext(ctx, d.table); err != nil {
		return nil, err
	}
	q := &plainest{db: db, dialect: d, more: make(chan struct{}, 1), data: []byte(strings.Repeat("x", dataBytes))}
	for _, s := range []struct {
		to   **sql.Stmt
		text string
	}{{&q.put1, d.put}, {&q.take, d.take}, {&q.finish, d.finish}} {
		if *s.to, err = db.PrepareContext(ctx, s.text); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (q *plainest) Put(ctx context.Context) error {
	_, err := q.put1.ExecContext(ctx, q.dialect.putArgs(q.data)...)
	return err
}

func (q *plainest) PutBatch(ctx context.Context) error {
	err := q.inTx(ctx, func(tx *sql.Tx) error {
		put := tx.StmtContext(ctx, q.put1)
		for range batch {
			if _, err := put.ExecContext(ctx, q.dialect.putArgs(q.data)...); err != nil {
				return err
			}
		}
		return nil
	})
	select {
	case q.more <- struct{}{}:
	default:
	}
	return err
}

func (q *plainest) Consume(ctx context.Context, g *goal) error {
	for {
		ids, err := q.takeBatch(ctx)
		if err != nil {
			return fmt.Errorf("take: %w", err)
		}
		if len(ids) == 0 {
			select {
			case <-q.more:
				continue
			case <-g.reached:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if err := q.finishBatch(ctx, ids); err != nil {
			return fmt.Errorf("finish: %w", err)
		}
		g.add(len(ids))
	}
}

// takeBatch is one statement and so one commit.
func (q *plainest) takeBatch(ctx context.Context) ([]int64, error) {
	rows, err := q.take.QueryContext(ctx, q.dialect.takeArgs()...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	ids := make([]int64, 0, batch)
	for rows.Next() {
		var id int64
		var data []byte
		if err := rows.Scan(&id, &data); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, errors.Join(rows.Err(), rows.Close())
}

func (q *plainest) finishBatch(ctx context.Context, ids []int64) error {
	return q.inTx(ctx, func(tx *sql.Tx) error {
		finish := tx.StmtContext(ctx, q.finish)
		args := append([]any{nil}, q.dialect.finishArgs()...)
		for _, id := range ids {
			args[0] = id
			if _, err := finish.ExecContext(ctx, args...); err != nil {
				return err
			}
		}
		return nil
	})
}

func (q *plainest) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := q.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (q *plainest) Finished(ctx context.Context) (n int, err error) {
	last := 2
	if q.dialect.take == sameRows.take {
		last = 3
	}
	err = q.db.QueryRowContext(ctx, `select count(*) from job where state = ?`, last).Scan(&n)
	return n, err
}

func (q *plainest) Close() error { return q.db.Close() }
