package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfastq/holdfast"
)

// Extend implements holdfast.Store. A lease that has ended is good until Sweep has moved its job.
func (s *Store) Extend(ctx context.Context, beats []holdfast.Beat) ([]holdfast.Beaten, error) {
	var answers []holdfast.Beaten
	size := 0
	for i := range beats {
		size += len(beats[i].Log)
	}
	err := s.writer.do(ctx, turnExtend, len(beats), size, func(t *tx) (err error) {
		answers = make([]holdfast.Beaten, len(beats))
		for i := range beats {
			if answers[i], err = t.extend(&beats[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("extend: %w", err)
	}
	return answers, nil
}

const extendJob = `update holdfast_jobs
	set lease_until = ?, progress = ?, note = ?, started = ?, started_at = ?, waited = ?
	where seq = ?`

func (t *tx) extend(b *holdfast.Beat) (holdfast.Beaten, error) {
	j, err := t.held(b.Lease)
	if err != nil {
		return holdfast.Beaten{}, err
	}
	if j == nil {
		return holdfast.Beaten{Err: holdfast.ErrLeaseLost}, nil
	}
	if b.Started && !j.started {
		j.started = true
		j.start(t.now - int64(b.Ran/time.Millisecond))
	}
	progress := null
	if b.Progress != 0 {
		progress = real64(b.Progress)
	}
	_, err = t.exec(extendJob, num(t.mono+int64(b.For/time.Millisecond)), progress, textOrNull(b.Note), flag(j.started),
		moment(j.StartedAt), num(int64(j.Waited/time.Millisecond)), num(j.seq))
	if err != nil {
		return holdfast.Beaten{}, err
	}
	if err := t.log(j, b.Log); err != nil {
		return holdfast.Beaten{}, err
	}
	answer := holdfast.Beaten{CancelRequested: !j.CancelRequested.IsZero()}
	err = t.query(selectPaused, func(r row) error { answer.Paused = r.int(0) != 0; return nil }, num(j.queue))
	return answer, err
}

// held gives the job of a lease if the lease is the present one, else nil.
func (t *tx) held(l holdfast.Lease) (*job, error) {
	j, err := t.find(l.Job)
	if err != nil || j == nil || j.State != holdfast.Running || j.Fence != l.Fence {
		return nil, err
	}
	return j, nil
}

// maxLogParts is the number of parts from which on a log is made one again.
const maxLogParts = 16

const measureLog = `select count(*), coalesce(sum(length(bytes)), 0), coalesce(max(part), 0) from holdfast_logs
	where seq = ? and n = ?`

const selectLog = `select bytes from holdfast_logs where seq = ? and n = ? order by part`

const deleteLog = `delete from holdfast_logs where seq = ? and n = ?`

const insertLog = `insert into holdfast_logs (seq, n, part, bytes) values (?, ?, ?, ?)`

// log adds to the log of the job's latest attempt and keeps its last part.
func (t *tx) log(j *job, more []byte) error {
	if len(more) == 0 {
		return nil
	}
	var parts, size, last int64
	err := t.query(measureLog, func(r row) error {
		parts, size, last = r.int(0), r.int(1), r.int(2)
		return nil
	}, num(j.seq), num(j.Attempt))
	if err != nil {
		return err
	}
	if parts >= maxLogParts || size+int64(len(more)) > holdfast.MaxLogBytes {
		var whole []byte
		err := t.query(selectLog, func(r row) error { whole = append(whole, r.blob(0)...); return nil }, num(j.seq), num(j.Attempt))
		if err != nil {
			return err
		}
		if _, err := t.exec(deleteLog, num(j.seq), num(j.Attempt)); err != nil {
			return err
		}
		whole = append(whole, more...)
		more = whole[max(len(whole)-holdfast.MaxLogBytes, 0):]
		last = 0
	}
	_, err = t.exec(insertLog, num(j.seq), num(j.Attempt), num(last+1), blob(more))
	return err
}
