package power

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/sqlite"
)

// useState opens a state as a store, compares what the store says with what was read behind its back, and puts a job
// through its life.
func useState(m image, want *snapshot) []wrong {
	s, err := newScratch()
	if err != nil {
		return []wrong{{unexpected, err.Error()}}
	}
	defer s.remove()
	if err := s.lay(m); err != nil {
		return []wrong{{unexpected, err.Error()}}
	}
	if err := use(filepath.Join(s.dir, dbName), want.rows); err != nil {
		return []wrong{{unexpected, "opened as a store: " + err.Error()}}
	}
	v, err := look(s.path())
	if err != nil {
		return []wrong{{corrupt, err.Error()}}
	}
	defer v.close()
	if damage := v.damage("integrity_check"); damage != "" {
		return []wrong{{corrupt, "after use as a store: " + damage}}
	}
	return nil
}

// use opens a store, looks at all of it, and uses it.
func use(path string, want *rows) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	store, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	defer func() {
		if closed := store.Close(); err == nil {
			err = closed
		}
	}()
	if err := same(ctx, store, want); err != nil {
		return err
	}
	job := holdfast.NewJob{ID: holdfast.NewID(), Queue: "after", Data: []byte("still works")}
	if _, err := store.Insert(ctx, holdfast.Insert{Jobs: []holdfast.NewJob{job}}); err != nil {
		return err
	}
	got, err := store.Claim(ctx, holdfast.Claim{Consumer: holdfast.NewID(), Number: 1, Queues: []string{"after"}, N: 1, Lease: time.Minute})
	if err != nil || len(got.Jobs) != 1 || got.Jobs[0].Job != job.ID {
		return fmt.Errorf("claim gives %d jobs, %w", len(got.Jobs), err)
	}
	done, err := store.Finish(ctx, []holdfast.Outcome{{Lease: got.Jobs[0].Lease, Kind: holdfast.OutcomeDone}})
	if err != nil || done[0].Err != nil {
		return fmt.Errorf("finish: %w, %v", err, done)
	}
	return nil
}

// same compares what a store says with rows.
func same(ctx context.Context, store *sqlite.Store, want *rows) error {
	seen := 0
	for at := holdfast.Cursor(""); ; {
		page, err := store.List(ctx, holdfast.List{After: at, Data: true})
		if err != nil {
			return err
		}
		for _, i := range page.Jobs {
			j := want.jobs[i.ID.String()]
			if j == nil || j.state != i.State || j.fence != i.Fence || j.queue != i.Queue || j.sum != sumOf(i.Data) || j.result != sumOf(i.Result) {
				return fmt.Errorf("job %v is %v with fence %d, in the file %+v", i.ID, i.State, i.Fence, j)
			}
			seen++
		}
		if at = page.Next; at == "" {
			break
		}
	}
	if seen != len(want.jobs) {
		return fmt.Errorf("%d jobs are listed, the file has %d", seen, len(want.jobs))
	}
	counts, err := store.Counts(ctx)
	if err != nil {
		return err
	}
	for _, c := range counts {
		if q := want.queue(c.Queue); c.States != q.counted || q.paused == c.PausedAt.IsZero() {
			return fmt.Errorf("queue %s counts %v, in the file %+v", c.Queue, c.States, q)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// survey checks what a process has left: the files as they are, then the store that somebody opens there.
func survey(t testing.TB, a args) []wrong {
	l := newLedger()
	if exists(a.tale()) {
		for _, s := range readTale(t, a.tale()) {
			l.hear(s)
		}
	}
	r, bad := l.survey(a.path())
	if r == nil {
		return bad
	}
	if err := use(a.path(), r); err != nil {
		return append(bad, wrong{unexpected, "opened as a store: " + err.Error()})
	}
	return bad
}

// survey reads a copy of the files: the store is to find its own -shm as it was left.
func (l *ledger) survey(path string) (*rows, []wrong) {
	s, err := newScratch()
	if err != nil {
		return nil, []wrong{{unexpected, err.Error()}}
	}
	defer s.remove()
	left := image{}
	for _, suffix := range []string{"", "-wal", "-journal"} {
		if content, err := os.ReadFile(path + suffix); err == nil {
			left[dbName+suffix] = content
		}
	}
	if err := s.lay(left); err != nil {
		return nil, []wrong{{unexpected, err.Error()}}
	}
	v, err := look(s.path())
	if err != nil {
		return nil, []wrong{{corrupt, err.Error()}}
	}
	defer v.close()
	if damage := v.damage("integrity_check"); damage != "" {
		return nil, []wrong{{corrupt, damage}}
	}
	r, err := readStore(v)
	if err != nil {
		return nil, []wrong{{corrupt, err.Error()}}
	}
	return r, l.check(r)
}
