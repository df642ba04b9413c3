package holdfast

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// Bounds, the same on every store. What is over one of them is refused with ErrTooLarge or ErrInvalid before anything is
// written; texts of the engine's own (errors, notes, logs) are cut to theirs.
const (
	MaxDataBytes     = 1 << 20                   // a job's data, or its result
	MaxBatchJobs     = 10_000                    // jobs in one Insert, Claim, Extend or Finish
	MaxBatchBytes    = 8 << 20                   // data in one Insert or Claim; a larger single job still goes alone
	MaxProduced      = 1_000                     // jobs that one job produces
	MaxQueueName     = 128                       // characters, of A-Z a-z 0-9 . _ : -
	MaxUniqueKey     = 256                       // bytes
	MaxErrorBytes    = 4 << 10                   // an attempt's error; more is cut
	MaxLogBytes      = 64 << 10                  // an attempt's log: the last so many are kept
	MaxNoteBytes     = 256                       // a progress note; more is cut
	MaxPriority      = 9                         // 0 is the lowest
	MaxAttemptsBound = 1_000                     // of MaxAttempts
	MinLease         = time.Second               // of a job taken by command or HTTP; the engine accepts shorter ones, for tests
	MaxLease         = 24 * time.Hour            //
	MaxDelay         = 10 * 366 * 24 * time.Hour // of After, ReleaseAfter, RetryAfter and At: ten years
	MaxPage          = 500                       // jobs in one page of List
	MaxWait          = time.Minute               // one Wait or long poll
	MinKept          = 10 * time.Minute          // an ended job is kept at least so long, so that answers can be repeated
	KeepAttempts     = 100                       // of a job, the latest ones
	KeepStats        = 31 * 24 * time.Hour       // figures are kept so long
)

// CheckQueueName says what is wrong with a queue's name: ErrInvalid, or nil.
func CheckQueueName(name string) error {
	if name == "" {
		return fmt.Errorf("%w: a queue needs a name", ErrInvalid)
	}
	if len(name) > MaxQueueName {
		return fmt.Errorf("%w: queue name %s has %d characters, at most %d are allowed", ErrInvalid, quoted(name), len(name), MaxQueueName)
	}
	for i := range len(name) {
		if c := name[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == ':' || c == '-') {
			return fmt.Errorf("%w: queue name %s may only have letters, digits and . _ : -", ErrInvalid, quoted(name))
		}
	}
	return nil
}

// Check says what is wrong with a new job, naming the field and its bound: ErrInvalid, ErrTooLarge, or nil.
// The root package calls it before every Insert, so that a Store need not.
func (j *NewJob) Check() error {
	if err := CheckQueueName(j.Queue); err != nil {
		return err
	}
	switch {
	case j.ID.IsZero():
		return fmt.Errorf("%w: a job needs an id", ErrInvalid)
	case len(j.Data) > MaxDataBytes:
		return fmt.Errorf("%w: data has %d bytes, at most %d are allowed; put large data in a file and its name in the job", ErrTooLarge, len(j.Data), MaxDataBytes)
	case j.Priority < 0 || j.Priority > MaxPriority:
		return fmt.Errorf("%w: priority %d, allowed are 0 to %d", ErrInvalid, j.Priority, MaxPriority)
	case j.MaxAttempts < 0 || j.MaxAttempts > MaxAttemptsBound:
		return fmt.Errorf("%w: max attempts %d, allowed are 1 to %d", ErrInvalid, j.MaxAttempts, MaxAttemptsBound)
	case j.MaxRun < 0:
		return fmt.Errorf("%w: max run %v is negative", ErrInvalid, j.MaxRun)
	case j.After < 0 || j.After > MaxDelay:
		return fmt.Errorf("%w: delay %v, allowed are 0 to ten years", ErrInvalid, j.After)
	case !j.RunAt.IsZero() && j.After > 0:
		return fmt.Errorf("%w: a job cannot have both a delay and a time", ErrInvalid)
	case !j.RunAt.IsZero() && (j.RunAt.Year() < 1970 || time.Until(j.RunAt) > MaxDelay):
		return fmt.Errorf("%w: time %v, allowed is at most ten years from now", ErrInvalid, j.RunAt)
	case !j.StartBy.IsZero() && (j.StartBy.Year() < 1970 || time.Until(j.StartBy) > 2*MaxDelay):
		return fmt.Errorf("%w: start-by %v, allowed is at most twenty years from now", ErrInvalid, j.StartBy)
	case len(j.UniqueKey) > MaxUniqueKey:
		return fmt.Errorf("%w: unique key has %d bytes, at most %d are allowed", ErrInvalid, len(j.UniqueKey), MaxUniqueKey)
	case j.OnDuplicate > Refuse:
		return fmt.Errorf("%w: unknown way to treat a duplicate: %d", ErrInvalid, j.OnDuplicate)
	}
	return nil
}

// checkBatch says what is wrong with a batch of new jobs.
func checkBatch(jobs []NewJob) error {
	if len(jobs) > MaxBatchJobs {
		return fmt.Errorf("%w: %d jobs in one call, at most %d are allowed; put them in several", ErrTooLarge, len(jobs), MaxBatchJobs)
	}
	bytes := 0
	for i := range jobs {
		if err := jobs[i].Check(); err != nil {
			if len(jobs) > 1 {
				return fmt.Errorf("job %d of %d: %w", i+1, len(jobs), err)
			}
			return err
		}
		bytes += len(jobs[i].Data)
	}
	if bytes > MaxBatchBytes && len(jobs) > 1 {
		return fmt.Errorf("%w: %d bytes of data in one call, at most %d are allowed; put the jobs in several", ErrTooLarge, bytes, MaxBatchBytes)
	}
	return nil
}

// cut bounds a text of ours to most bytes, at a character's edge, and makes it valid UTF-8.
func cut(s string, most int) string {
	if len(s) > most {
		const mark = "…"
		s = s[:most-len(mark)]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
		if r, n := utf8.DecodeLastRuneInString(s); r == utf8.RuneError && n == 1 {
			s = s[:len(s)-1]
		}
		s += mark
	}
	if !utf8.ValidString(s) {
		s = string([]rune(s))
	}
	return s
}
