package power

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/sqlite"
)

// args say how a child is to live.
type args struct {
	Dir        string // with the database in it, in a folder of its own, and the tale
	Seed       uint64
	Operations int
	After      int64 // calls of an earlier life in the same tale
	Settle     bool  // at the end, go on until a put is answered with success
	Faults     bool  // an error of the store is no failure of the child
}

func (a args) path() string { return filepath.Join(a.Dir, "db", dbName) }

func (a args) tale() string { return filepath.Join(a.Dir, "tale") }

func isUnknown(err error) bool { return errors.Is(err, holdfast.ErrUnknown) }

// life is a program with a store, scripted by its seed.
type life struct {
	args
	ctx   context.Context
	store *sqlite.Store
	tale  *tale
	rng   *rand.Rand

	consumer holdfast.ID
	number   int64
	held     []holdfast.Delivery
	waiting  []holdfast.ID // put lately; may have been taken since
	ended    []holdfast.ID // done or failed for good
	marks    int
	errors   int // in a row: after three of them nothing works any more
}

// queues of a life.
var queues = []string{"one", "two"}

const aLease = time.Hour // no lease ends by itself while a life is recorded

func live(a args) error {
	l := &life{args: a, ctx: context.Background(), rng: rand.New(rand.NewPCG(a.Seed, 1)), consumer: holdfast.NewID()}
	var err error
	if l.tale, err = openTale(a.tale()); err != nil {
		return err
	}
	l.tale.n.Store(a.After)
	err = l.open()
	for i := 0; i < a.Operations && err == nil && l.errors < 3; i++ {
		if err := l.step(); err == nil {
			l.errors = 0
		} else if l.errors++; !a.Faults {
			return err
		}
		if l.store == nil {
			break
		}
	}
	if err != nil && !a.Faults {
		return err
	}
	if a.Settle {
		if err := l.settle(); err != nil {
			return err
		}
	}
	if l.store == nil {
		return nil
	}
	l.tale.say(said{Word: "end"})
	if err := l.store.Close(); err != nil && !a.Faults {
		return err
	}
	return nil
}

func (l *life) open() (err error) {
	l.store, err = sqlite.Open(l.ctx, l.path())
	if err != nil {
		l.store = nil
	}
	return err
}

// settleTime is how soon after a fault a store works again, without help.
const settleTime = 10 * time.Second

// settle puts until a put succeeds. The fault is over: a store that does not recover by itself is a failure.
func (l *life) settle() error {
	ctx, cancel := context.WithTimeout(l.ctx, settleTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var err error
		if l.store == nil {
			err = l.open()
		}
		if err == nil {
			err = l.put(l.newJob())
		}
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the store does not work again within %v of the fault: %w", settleTime, err)
		}
	}
}

// step does one operation of the script.
func (l *life) step() error {
	switch n := l.rng.IntN(100); {
	case n < 16:
		return l.put(l.newJob())
	case n < 24:
		return l.put(l.newJobs(2 + l.rng.IntN(4))...)
	case n < 30:
		return l.putAtOnce(2 + l.rng.IntN(3))
	case n < 50:
		return l.claim(1 + l.rng.IntN(4))
	case n < 74:
		return l.finish(1 + l.rng.IntN(3))
	case n < 78:
		return l.extend()
	case n < 80:
		return l.call(said{Call: "sweep"}, func(*said) error {
			_, err := l.store.Sweep(l.ctx, holdfast.Sweep{Lease: aLease, Limit: 100})
			return err
		})
	case n < 83:
		return l.purge()
	case n < 86:
		return l.amend("delete", holdfast.ActionDelete, &l.ended)
	case n < 88:
		return l.amend("retry", holdfast.ActionRetry, &l.ended)
	case n < 90:
		return l.amend("cancel", holdfast.ActionCancel, &l.waiting)
	case n < 92:
		return l.pause()
	case n < 94:
		return l.mark()
	case n < 97:
		return l.checkpoint()
	}
	return l.reopen()
}

// call makes a call and says so. An answer that is unknown is asked for again, as users are told to.
func (l *life) call(s said, do func(answer *said) error) error {
	err := l.tale.try(s, do)
	for range 2 {
		if !isUnknown(err) {
			break
		}
		err = l.tale.try(s, do)
	}
	return err
}

// sizes of data: in the row, beside it, over several pages.
var sizes = []int{0, 20, 100, 400, 700, 3000, 9000}

func (l *life) data() []byte {
	size := sizes[min(l.rng.IntN(len(sizes)), l.rng.IntN(len(sizes)))]
	return bytes.Repeat([]byte{byte(l.rng.IntN(255) + 1)}, size)
}

func (l *life) newJob() holdfast.NewJob {
	j := holdfast.NewJob{ID: holdfast.NewID(), Queue: queues[l.rng.IntN(len(queues))], Data: l.data(), Priority: l.rng.IntN(3)}
	switch l.rng.IntN(10) {
	case 0:
		j.After = time.Hour
	case 1:
		j.UniqueKey = "key " + strconv.Itoa(l.rng.IntN(3))
	}
	return j
}

func (l *life) newJobs(n int) []holdfast.NewJob {
	jobs := make([]holdfast.NewJob, n)
	for i := range jobs {
		jobs[i] = l.newJob()
	}
	return jobs
}

func saidJobs(jobs []holdfast.NewJob) []saidJob {
	list := make([]saidJob, len(jobs))
	for i, j := range jobs {
		list[i] = saidJob{ID: j.ID.String(), Queue: j.Queue, Priority: j.Priority, Sum: sumOf(j.Data), Key: j.UniqueKey != ""}
	}
	return list
}

func (l *life) put(jobs ...holdfast.NewJob) error {
	err := l.call(said{Call: "put", Jobs: saidJobs(jobs)}, func(answer *said) error {
		made, err := l.store.Insert(l.ctx, holdfast.Insert{Jobs: jobs})
		for i := range made {
			answer.Jobs = append(answer.Jobs, saidJob{ID: jobs[i].ID.String(), Made: made[i].Made})
		}
		return err
	})
	if err == nil {
		for _, j := range jobs {
			l.waiting = append(l.waiting, j.ID)
		}
	}
	return err
}

// putAtOnce puts from several goroutines, so that their jobs share a commit.
func (l *life) putAtOnce(n int) error {
	var wait sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		jobs := l.newJobs(1 + l.rng.IntN(2))
		wait.Go(func() {
			errs[i] = l.call(said{Call: "put", Jobs: saidJobs(jobs)}, func(answer *said) error {
				made, err := l.store.Insert(l.ctx, holdfast.Insert{Jobs: jobs})
				for i := range made {
					answer.Jobs = append(answer.Jobs, saidJob{ID: jobs[i].ID.String(), Made: made[i].Made})
				}
				return err
			})
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (l *life) claim(n int) error {
	l.number++
	c := holdfast.Claim{Consumer: l.consumer, Number: l.number, Queues: queues, N: n, Lease: aLease, Suspects: 1}
	return l.call(said{Call: "claim"}, func(answer *said) error {
		got, err := l.store.Claim(l.ctx, c)
		for _, d := range got.Jobs {
			answer.Leases = append(answer.Leases, saidLease{ID: d.Job.String(), Fence: d.Fence, Attempt: d.Info.Attempt})
		}
		l.held = append(l.held, got.Jobs...)
		return err
	})
}

// finish reports outcomes of jobs in hand: done with a result and new jobs, failed for now or for good, given back.
func (l *life) finish(n int) error {
	n = min(n, len(l.held))
	if n == 0 {
		return l.claim(2)
	}
	outcomes := make([]holdfast.Outcome, n)
	leases := make([]saidLease, n)
	for i, d := range l.held[:n] {
		o := holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone, Took: time.Millisecond, Result: l.data()}
		switch k := l.rng.IntN(10); {
		case k < 3:
			o.New = l.newJobs(1 + l.rng.IntN(3))
		case k < 5:
			o.Kind, o.Result, o.Error, o.Final, o.MaxAttempts = holdfast.OutcomeFailed, nil, "no luck", k == 3, 3
		case k < 6:
			o.Kind, o.Result = holdfast.OutcomeReleased, nil
		}
		for i := range o.New {
			o.New[i].Parent = d.Job
		}
		outcomes[i] = o
		leases[i] = saidLease{ID: d.Job.String(), Fence: d.Fence, Attempt: d.Info.Attempt, Kind: o.Kind, Sum: sumOf(o.Result), Jobs: saidJobs(o.New)}
		for k := range o.New {
			leases[i].Jobs[k].Key = o.New[k].UniqueKey != ""
		}
	}
	l.held = slices.Delete(l.held, 0, n) // whatever comes of it: another outcome for them would be another story
	return l.call(said{Call: "finish", Leases: leases}, func(answer *said) error {
		got, err := l.store.Finish(l.ctx, outcomes)
		if err != nil {
			return err
		}
		for i, f := range got {
			answer.Leases = append(answer.Leases, saidLease{ID: leases[i].ID, Fence: leases[i].Fence, Refused: f.Err != nil})
			if f.Err == nil && f.State.Ended() {
				l.ended = append(l.ended, outcomes[i].Lease.Job)
			}
		}
		return nil
	})
}

func (l *life) extend() error {
	if len(l.held) == 0 {
		return l.put(l.newJob())
	}
	beat := holdfast.Beat{Lease: l.held[0].Lease, For: aLease, Started: true, Progress: .5, Note: "half", Log: []byte("a line\n")}
	return l.call(said{Call: "extend"}, func(*said) error {
		_, err := l.store.Extend(l.ctx, []holdfast.Beat{beat})
		return err
	})
}

// purge lets the ended jobs grow old, and has most of them removed.
func (l *life) purge() error {
	if err := l.sql("update holdfast_jobs set ended_at = ended_at - 3600000 where state >= 3"); err != nil {
		return err
	}
	l.ended = nil
	return l.call(said{Call: "purge"}, func(*said) error {
		_, err := l.store.Purge(l.ctx, holdfast.Purge{Limit: 20})
		return err
	})
}

// amend is an operator's step on one of the jobs in a list.
func (l *life) amend(call string, action holdfast.Action, list *[]holdfast.ID) error {
	if len(*list) == 0 {
		return l.put(l.newJob())
	}
	i := l.rng.IntN(len(*list))
	id := (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	a := holdfast.Amend{Action: action, Filter: holdfast.Filter{IDs: []holdfast.ID{id}}, Actor: "life", Via: "test", Activity: holdfast.NewID(), Limit: 1}
	return l.call(said{Call: call, Jobs: []saidJob{{ID: id.String()}}}, func(answer *said) error {
		done, err := l.store.Amend(l.ctx, a)
		if err == nil && done.Changed == 1 && !slices.ContainsFunc(l.held, func(d holdfast.Delivery) bool { return d.Job == id }) {
			answer.Jobs = []saidJob{{ID: id.String()}}
		}
		return err
	})
}

func (l *life) pause() error {
	call, action := "pause", holdfast.ActionPause
	if l.rng.IntN(2) == 0 {
		call, action = "resume", holdfast.ActionResume
	}
	a := holdfast.Amend{Action: action, Queue: queues[1], Actor: "life", Via: "test", Activity: holdfast.NewID(), Limit: 1}
	return l.call(said{Call: call, Queue: a.Queue}, func(*said) error {
		_, err := l.store.Amend(l.ctx, a)
		return err
	})
}

func (l *life) mark() error {
	l.marks++
	value := strconv.Itoa(l.marks)
	return l.call(said{Call: "mark", Mark: value}, func(*said) error {
		return l.store.Record(l.ctx, holdfast.Records{Marks: []holdfast.Mark{{Name: "life", Value: []byte(value)}}})
	})
}

// checkpoint has SQLite move its log into the database, in one of its ways.
func (l *life) checkpoint() error {
	return l.sql("pragma wal_checkpoint(" + []string{"passive", "full", "restart", "truncate"}[l.rng.IntN(4)] + ")")
}

// sql is done by a connection of the caller's own, beside the store.
func (l *life) sql(query string) error {
	_, err := l.store.DB().ExecContext(l.ctx, query)
	return err
}

// reopen closes the store, with which SQLite removes its log, and opens it again.
func (l *life) reopen() error {
	if err := l.store.Close(); err != nil && !l.Faults {
		return err
	}
	return l.open()
}
