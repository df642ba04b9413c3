package sqlite

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/holdfastq/holdfast"
)

// onConn gives names by one connection's look.
type onConn struct {
	*known
	c *conn
}

func (n onConn) queueName(no int64) (string, error)       { return n.known.queueName(n.c, no) }
func (n onConn) consumerID(no int64) (holdfast.ID, error) { return n.known.consumerID(n.c, no) }

func (s *Store) namesOn(c *conn) names { return onConn{s.known, c} }

// ceilMS is the first millisecond that is not before a time.
func ceilMS(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.Sub(time.UnixMilli(ms)) > 0 {
		ms++
	}
	return ms
}

const selectJobData = `select ` + jobColumns + `, payload, result from holdfast_jobs where id = ?`

const selectAttempts = `select a.n, coalesce(c.id, x''), coalesce(c.host, ''), a.started_at, a.stopped_at, a.took, a.outcome, a.error
	from holdfast_attempts a left join holdfast_consumers c on c.no = a.consumer
	where a.seq = ? order by a.n`

const selectHost = `select host from holdfast_consumers where no = ?`

// Show implements holdfast.Store.
func (s *Store) Show(ctx context.Context, id holdfast.ID) (holdfast.Info, []holdfast.Attempt, error) {
	var j *job
	var attempts []holdfast.Attempt
	err := s.readers.read(ctx, func(c *conn) error {
		clock, n := s.clock(), s.namesOn(c)
		err := c.query(selectJobData, func(r row) error {
			j = new(job)
			j.scanData(r)
			return j.scan(r, clock, n)
		}, blob(id[:]))
		if err != nil || j == nil {
			return err
		}
		if err := j.fetchLarge(c); err != nil {
			return err
		}
		attempts, err = showAttempts(c, j)
		return err
	})
	switch {
	case err != nil:
		return holdfast.Info{}, nil, fmt.Errorf("show %s: %w", id, err)
	case j == nil:
		return holdfast.Info{}, nil, holdfast.ErrNotFound
	}
	return j.Info, attempts, nil
}

// showAttempts gives the attempts of a job, the one in its own row last.
func showAttempts(c *conn, j *job) (attempts []holdfast.Attempt, err error) {
	err = c.query(selectAttempts, func(r row) error {
		attempts = append(attempts, holdfast.Attempt{
			N: int(r.int(0)), Consumer: r.id(1), Host: r.text(2), StartedAt: at(r, 3), EndedAt: at(r, 4),
			Took: time.Duration(r.int(5)), Outcome: holdfast.OutcomeKind(r.int(6)), Error: r.text(7),
		})
		return nil
	}, num(j.seq))
	if err != nil {
		return nil, err
	}
	if j.Attempt > 0 && !j.filed {
		last := holdfast.Attempt{
			N: j.Attempt, Consumer: j.Consumer, StartedAt: j.StartedAt, Took: j.Took, Outcome: j.outcome, Error: j.attemptError(),
		}
		if j.stoppedAt != 0 {
			last.EndedAt = wall(j.stoppedAt)
		}
		if err := c.query(selectHost, func(r row) error { last.Host = r.text(0); return nil }, num(j.holder)); err != nil {
			return nil, err
		}
		attempts = append(attempts, last)
	}
	for i := range attempts {
		a := &attempts[i]
		err := c.query(selectLog, func(r row) error { a.Log = append(a.Log, r.blob(0)...); return nil }, num(j.seq), num(a.N))
		if err != nil {
			return nil, err
		}
	}
	return attempts, nil
}

// List implements holdfast.Store.
func (s *Store) List(ctx context.Context, l holdfast.List) (holdfast.Page, error) {
	if l.Filter.None() {
		return holdfast.Page{}, ctx.Err()
	}
	limit := l.Limit
	if limit <= 0 || limit > holdfast.MaxPage {
		limit = holdfast.MaxPage
	}
	find := search{store: s, filter: l.Filter, after: cursorPlace(l.After, math.MaxInt64), limit: limit, data: l.Data}
	jobs, more, err := find.run(ctx)
	if err != nil {
		return holdfast.Page{}, fmt.Errorf("list: %w", err)
	}
	page := holdfast.Page{}
	for _, j := range jobs {
		page.Jobs = append(page.Jobs, j.Info)
	}
	if more {
		page.Next = placeCursor(jobs[len(jobs)-1].seq)
	}
	return page, nil
}

// placeCursor is the cursor after a job.
func placeCursor(seq int64) holdfast.Cursor { return holdfast.Cursor(strconv.FormatInt(seq, 10)) }

// cursorPlace reads a cursor; what is none begins at the beginning.
func cursorPlace(c holdfast.Cursor, beginning int64) int64 {
	seq, err := strconv.ParseInt(string(c), 10, 64)
	if err != nil {
		return beginning
	}
	return seq
}
