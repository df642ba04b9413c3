package power

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"math/rand/v2"

	"github.com/holdfastq/holdfast"
)

// The control is the plainest queue on SQLite: one table, one commit for each step, in the same order of steps as the
// store's life. It lives once with synchronous=FULL and once with NORMAL, where SQLite answers a commit before it is on
// disk. A harness that finds nothing missing after NORMAL would find nothing at all.

const plainTable = `create table if not exists jobs (id blob primary key, state int not null, fence int not null, outcome int not null, data blob)`

// livePlain is the control's life.
func livePlain(a args, synchronous string) error {
	ctx := context.Background()
	t, err := openTale(a.tale())
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+a.path()+"?_txlock=immediate&_pragma=journal_mode(wal)&_pragma=synchronous("+synchronous+")")
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, plainTable); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(a.Seed, 1))
	var waiting, running []holdfast.ID
	for range a.Operations {
		switch n := rng.IntN(10); {
		case n < 5 || len(waiting)+len(running) == 0:
			id := holdfast.NewID()
			data := make([]byte, 1+rng.IntN(900))
			job := saidJob{ID: id.String(), Queue: "jobs", Sum: sumOf(data), Made: true}
			err = t.try(said{Call: "put", Jobs: []saidJob{job}}, func(answer *said) error {
				answer.Jobs = []saidJob{job}
				_, err := db.ExecContext(ctx, `insert into jobs values (?, 1, 0, 0, ?)`, id[:], data)
				return err
			})
			waiting = append(waiting, id)
		case n < 7 && len(waiting) > 0:
			id := waiting[0]
			waiting, running = waiting[1:], append(running, id)
			err = t.try(said{Call: "claim"}, func(answer *said) error {
				answer.Leases = []saidLease{{ID: id.String(), Fence: 1}}
				_, err := db.ExecContext(ctx, `update jobs set state = 2, fence = fence + 1 where id = ?`, id[:])
				return err
			})
		case n < 9 && len(running) > 0:
			id := running[0]
			running = running[1:]
			lease := saidLease{ID: id.String(), Fence: 1, Kind: holdfast.OutcomeDone}
			err = t.try(said{Call: "finish", Leases: []saidLease{lease}}, func(answer *said) error {
				answer.Leases = []saidLease{lease}
				_, err := db.ExecContext(ctx, `update jobs set state = 3, outcome = 1 where id = ? and fence = 1`, id[:])
				return err
			})
		case n == 9 && rng.IntN(3) == 0:
			_, err = db.ExecContext(ctx, `pragma wal_checkpoint(passive)`)
		}
		if err != nil {
			return err
		}
	}
	return db.Close()
}

// readPlain reads what the control has left.
func readPlain(v *view) (*rows, error) {
	r := newRows()
	if there, err := v.has("jobs"); err != nil || !there {
		return r, err
	}
	q := &queueRow{}
	err := v.each(`select id, state, fence, outcome, data from jobs`, func(c []driver.Value) {
		j := &jobRow{queue: "jobs", state: holdfast.State(c[1].(int64)), fence: c[2].(int64), outcome: holdfast.OutcomeKind(c[3].(int64)), sum: sumOf(bytesOf(c[4]))}
		q.counted[j.state]++
		r.jobs[idOf(c[0])] = j
	})
	r.queues["jobs"] = q
	return r, err
}
