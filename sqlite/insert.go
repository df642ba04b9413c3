package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfastq/holdfast"
)

// errCareful asks for the transaction to be rolled back and done again with a plan before each step's first write.
var errCareful = errors.New("sqlite: to be done again with care")

// Insert implements holdfast.Store.
func (s *Store) Insert(ctx context.Context, in holdfast.Insert) ([]holdfast.Inserted, error) {
	var answers []holdfast.Inserted
	size := 0
	for i := range in.Jobs {
		size += len(in.Jobs[i].Data)
	}
	err := s.writer.do(ctx, turnInsert, len(in.Jobs)+len(in.Marks), size, func(t *tx) (err error) {
		answers, err = t.insert(in)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("insert: %w", err)
	}
	return answers, nil
}

func (t *tx) insert(in holdfast.Insert) ([]holdfast.Inserted, error) {
	answers, ok, err := t.insertJobs(in.Jobs)
	if err != nil || !ok {
		return answers, err
	}
	return answers, t.mark(in.Marks)
}

// insertJobs puts jobs: all, or none and false.
func (t *tx) insertJobs(jobs []holdfast.NewJob) ([]holdfast.Inserted, bool, error) {
	answers := make([]holdfast.Inserted, len(jobs))
	planned := t.careful || keyed(jobs)
	if planned {
		ok, err := t.plan(jobs, answers, 0)
		if err != nil || !ok {
			return answers, false, err
		}
	} else {
		for i := range jobs {
			answers[i] = holdfast.Inserted{ID: jobs[i].ID, Made: true}
		}
	}
	return answers, true, t.put(jobs, answers, planned)
}

func keyed(jobs []holdfast.NewJob) bool {
	for i := range jobs {
		if jobs[i].UniqueKey != "" {
			return true
		}
	}
	return false
}

type uniqueKey struct{ queue, key string }

// plan says what comes of putting the jobs and writes nothing; false: one of them is refused, so none may be put. The
// job with the number leaving, if any, ends in the same step and holds its unique key no longer.
func (t *tx) plan(jobs []holdfast.NewJob, answers []holdfast.Inserted, leaving int64) (bool, error) {
	ids := make(map[holdfast.ID]*holdfast.NewJob, len(jobs)) // what this call puts
	keys := map[uniqueKey]holdfast.ID{}
	stored := make([]bool, len(jobs))
	ok := true
	for i := range jobs {
		n, answer := &jobs[i], &answers[i]
		answer.ID = n.ID
		same, known, err := t.knows(n)
		if err != nil {
			return false, err
		}
		if stored[i] = known; !known {
			if first := ids[n.ID]; first != nil {
				same, known = first.Queue == n.Queue && bytes.Equal(first.Data, n.Data), true
			}
		}
		if known {
			if answer.Made = same; !same {
				answer.Err = fmt.Errorf("%w: another job has the id %s", holdfast.ErrDuplicate, n.ID)
				ok = false
			}
			continue
		}
		k := uniqueKey{n.Queue, n.UniqueKey}
		holder, inCall := keys[k]
		running := false
		if !inCall && n.UniqueKey != "" {
			if holder, running, err = t.keyHolder(n, leaving); err != nil {
				return false, err
			}
		}
		switch {
		case n.UniqueKey == "" || holder.IsZero():
			answer.Made = true
			ids[n.ID] = n
			if n.UniqueKey != "" {
				keys[k] = n.ID
			}
		case n.OnDuplicate == holdfast.Replace && !running:
			answer.ID, answer.Replaced = holder, true
			if ids[holder] != nil {
				ids[holder] = n // a repeat of the id is compared with what it is now
			}
		case n.OnDuplicate == holdfast.KeepFirst:
			answer.ID = holder
		default:
			answer.ID = holder
			answer.Err = fmt.Errorf("%w: job %s holds the unique key", holdfast.ErrDuplicate, holder)
			ok = false
		}
	}
	if !ok {
		for i := range answers { // none is put
			answers[i].Made = answers[i].Made && stored[i]
			answers[i].Replaced = false
		}
	}
	return ok, nil
}

const selectSame = `select j.queue, coalesce(b.payload, j.payload)
	from holdfast_jobs j left join holdfast_bodies b on b.seq = j.seq and j.form & 1
	where j.id = ?`

// knows says whether the new job's id is on disk already, and whether it is the same job: a call may be repeated.
func (t *tx) knows(n *holdfast.NewJob) (same, known bool, err error) {
	var queue int64
	var data []byte
	err = t.query(selectSame, func(r row) error {
		queue, data, known = r.int(0), r.blob(1), true
		return nil
	}, blob(n.ID[:]))
	if err != nil || !known {
		return false, false, err
	}
	name, err := t.queueName(queue)
	return name == n.Queue && bytes.Equal(data, n.Data), true, err
}

const selectKeyHolder = `select seq, id, state from holdfast_jobs
	where queue = ? and unique_key = ? and unique_key is not null and state <= 2`

// keyHolder gives the job that holds the unique key, and whether it is running.
func (t *tx) keyHolder(n *holdfast.NewJob, leaving int64) (id holdfast.ID, running bool, err error) {
	queue, err := t.findQueue(n.Queue)
	if err != nil || queue == 0 {
		return id, false, err
	}
	err = t.query(selectKeyHolder, func(r row) error {
		if r.int(0) != leaving {
			id, running = r.id(1), r.int(2) == int64(holdfast.Running)
		}
		return nil
	}, num(queue), text(n.UniqueKey))
	return id, running, err
}

// put writes what the answers say. Unless they were planned they are a guess, and errCareful says that it was wrong.
func (t *tx) put(jobs []holdfast.NewJob, answers []holdfast.Inserted, planned bool) error {
	for i := range jobs {
		n := &jobs[i]
		var err error
		switch {
		case answers[i].Replaced:
			err = t.replace(answers[i].ID, n)
		case answers[i].Made:
			err = t.add(n, planned)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const insertJob = `insert into holdfast_jobs
	(id, queue, state, priority, run_at, due_at, made_at, fence, max_attempts, max_run, start_by, unique_key, parent, form, payload)
	values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	on conflict do nothing`

const insertBody = `insert into holdfast_bodies (seq, payload) values (last_insert_rowid(), ?)`

func (t *tx) add(n *holdfast.NewJob, planned bool) error {
	queue, err := t.queueNo(n.Queue)
	if err != nil {
		return err
	}
	fence, err := t.fenceOf(n.ID)
	if err != nil {
		return err
	}
	runAt := t.runAt(n)
	state, due := holdfast.Waiting, null
	switch {
	case runAt > t.now:
		state = holdfast.Scheduled
	case runAt < t.now:
		due = num(t.now)
	}
	form, payload := 0, blob(n.Data)
	if len(n.Data) > inline {
		form, payload = largePayload, null
	}
	changed, err := t.exec(insertJob, blob(n.ID[:]), num(queue), num(state), num(n.Priority), num(runAt), due, num(t.now),
		num(fence), num(n.MaxAttempts), num(int64(n.MaxRun)), moment(n.StartBy), textOrNull(n.UniqueKey), ident(&n.Parent),
		num(form), payload)
	if err != nil {
		return err
	}
	if changed == 0 {
		if planned {
			return nil // a repeat
		}
		return errCareful
	}
	if form == largePayload {
		if _, err := t.exec(insertBody, blob(n.Data)); err != nil {
			return err
		}
	}
	s := t.sum(queue)
	s.states[state]++
	s.made++
	if state == holdfast.Waiting {
		t.news(queue)
	} else {
		t.later(runAt)
	}
	return nil
}

// runAt is when a new job is due. A fraction of a millisecond is cut off, as it is everywhere.
func (t *tx) runAt(n *holdfast.NewJob) int64 {
	if !n.RunAt.IsZero() {
		return n.RunAt.UnixMilli()
	}
	return t.now + int64(n.After/time.Millisecond)
}

const anyFence = `select 1 from holdfast_fences limit 1`

const takeFence = `delete from holdfast_fences where id = ? returning fence`

// fenceOf gives the fence to begin with: above 0 only for the id of a job that a person deleted lately.
func (t *tx) fenceOf(id holdfast.ID) (fence int64, err error) {
	if t.fences == 0 {
		t.fences = -1
		if err := t.query(anyFence, func(row) error { t.fences = 1; return nil }); err != nil {
			return 0, err
		}
	}
	if t.fences < 0 {
		return 0, nil
	}
	err = t.query(takeFence, func(r row) error { fence = r.int(0); return nil }, blob(id[:]))
	return fence, err
}

const replacePayload = `update holdfast_jobs set form = ?, payload = ? where seq = ?`

const replaceBody = `insert into holdfast_bodies (seq, payload) values (?, ?)
	on conflict (seq) do update set payload = excluded.payload`

// replace gives a job that is not running the data, times and bounds of another. It stays the same job: its id, its
// place among equals and the numbers of its attempts are kept.
func (t *tx) replace(id holdfast.ID, n *holdfast.NewJob) error {
	j, err := t.find(id)
	if err != nil {
		return err
	}
	if j == nil || j.State > holdfast.Waiting {
		return fmt.Errorf("%w: job %s cannot be replaced", holdfast.ErrCorrupt, id)
	}
	t.lift(j)
	j.Priority, j.MaxAttempts, j.MaxRun = n.Priority, n.MaxAttempts, n.MaxRun
	j.StartBy, j.RunAt, j.Failures = n.StartBy, wall(t.runAt(n)), 0
	t.queueUp(j, holdfast.ReasonNone)
	if err := t.save(j); err != nil {
		return err
	}
	payload := blob(n.Data)
	if len(n.Data) > inline || j.form&largePayload != 0 {
		body := null
		if j.form &^= largePayload; len(n.Data) > inline {
			j.form |= largePayload
			body, payload = payload, null
		}
		if _, err := t.exec(replaceBody, num(j.seq), body); err != nil {
			return err
		}
	}
	_, err = t.exec(replacePayload, num(j.form), payload, num(j.seq))
	return err
}

const selectJob = `select ` + jobColumns + ` from holdfast_jobs where id = ?`

// find gives a job without its data; nil if there is none.
func (t *tx) find(id holdfast.ID) (*job, error) {
	var found *job
	err := t.query(selectJob, func(r row) error {
		found = new(job)
		return found.scan(r, t.clock, t)
	}, blob(id[:]))
	return found, err
}

const deleteMark = `delete from holdfast_marks where name = ?`

const writeMark = `insert into holdfast_marks (name, value) values (?, ?)
	on conflict (name) do update set value = excluded.value`

func (t *tx) mark(marks []holdfast.Mark) error {
	for _, m := range marks {
		var err error
		if m.Value == nil {
			_, err = t.exec(deleteMark, text(m.Name))
		} else {
			_, err = t.exec(writeMark, text(m.Name), blob(m.Value))
		}
		if err != nil {
			return fmt.Errorf("mark %q: %w", m.Name, err)
		}
	}
	return nil
}
