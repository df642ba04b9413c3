package holdfast

import (
	"fmt"
	"time"
)

// PutOption changes how a job is put. Given to NewQueue it is a default of every Put, given to Put it wins.
type PutOption struct{ apply func(*NewJob) error }

// After makes the job due so long from now, by the store's clock: 0 to ten years.
func After(d time.Duration) PutOption {
	return PutOption{func(j *NewJob) error { j.After, j.RunAt = d, time.Time{}; return nil }}
}

// At makes the job due at t, at most ten years from now; a time that has passed means now.
func At(t time.Time) PutOption {
	return PutOption{func(j *NewJob) error { j.RunAt, j.After = t, 0; return nil }}
}

// StartBy cancels the job if its first or any later attempt has not started by t.
func StartBy(t time.Time) PutOption {
	return PutOption{func(j *NewJob) error { j.StartBy = t; return nil }}
}

// Priority is 0 to 9, higher first. The default is 0.
func Priority(n int) PutOption {
	return PutOption{func(j *NewJob) error { j.Priority = n; return nil }}
}

// MaxAttempts is the number of attempts before the job is failed: 1 to 1,000. Without it the consumer's counts.
func MaxAttempts(n int) PutOption {
	return PutOption{func(j *NewJob) error {
		if n < 1 {
			return fmt.Errorf("%w: max attempts %d, allowed are 1 to %d", ErrInvalid, n, MaxAttemptsBound)
		}
		j.MaxAttempts = n
		return nil
	}}
}

// MaxRun is the longest that one attempt may take, from the start of its handler. Without it the consumer's counts.
func MaxRun(d time.Duration) PutOption {
	return PutOption{func(j *NewJob) error {
		if d <= 0 {
			return fmt.Errorf("%w: max run %v is not positive", ErrInvalid, d)
		}
		j.MaxRun = d
		return nil
	}}
}

// Unique holds the key, at most 256 bytes, in this queue until the job has ended. While it is held, another Put with it
// is answered as on says: KeepFirst, the first job's id; Replace, the same, and that job gets the new data unless it is
// running (ErrDuplicate); Refuse, ErrDuplicate.
func Unique(key string, on OnDuplicate) PutOption {
	return PutOption{func(j *NewJob) error {
		if key == "" {
			return fmt.Errorf("%w: a unique key needs at least one character", ErrInvalid)
		}
		j.UniqueKey, j.OnDuplicate = key, on
		return nil
	}}
}

// WithID makes the call repeatable: a second Put with the same id, queue and data is the same job. Make the id with
// NewID before the first try and keep it until Put has answered nil.
func WithID(id ID) PutOption {
	return PutOption{func(j *NewJob) error {
		if id.IsZero() {
			return fmt.Errorf("%w: the zero id names nothing; use NewID", ErrInvalid)
		}
		j.ID = id
		return nil
	}}
}
