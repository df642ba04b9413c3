package holdfast

import (
	"errors"
	"time"
)

// What a handler returns is the outcome of its attempt: nil is done, an error is another attempt after Backoff, or one
// of Permanent, RetryAfter, ReleaseAfter.

// Permanent makes the job failed now, whatever attempts it has left. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &verdict{err: err, final: true}
}

// RetryAfter is a failed attempt; if the job has another, it is due after d instead of Backoff. RetryAfter(nil, d) is nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &verdict{err: err, after: min(max(d, 0), MaxDelay), timed: true}
}

// ReleaseAfter gives the job back: no attempt is spent, and it is due again after d, at most ten years. A handler that
// always says 0 gets its job again at once, and for ever.
func ReleaseAfter(d time.Duration) error {
	return &verdict{err: errReleased, after: min(max(d, 0), MaxDelay), released: true}
}

// WithFile says that a file of the program's own belongs to the failure: if the job becomes failed with it, file (its
// JSON, at most 1 MiB) is kept as the job's result and the job is marked Attached, so that no cleaner but the one that
// knows the file removes it. It may wrap Permanent or RetryAfter.
func WithFile(err error, file any) error {
	if err == nil {
		return nil
	}
	return &fileError{err, file}
}

type fileError struct {
	error
	file any
}

func (f *fileError) Unwrap() error { return f.error }

var errReleased = errors.New("released by its handler")

// verdict is an outcome other than plain done and plain failure, as an error.
type verdict struct {
	err      error
	after    time.Duration
	timed    bool // after counts
	final    bool
	released bool
}

func (v *verdict) Error() string { return v.err.Error() }
func (v *verdict) Unwrap() error { return v.err }
