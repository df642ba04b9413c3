package holdfast

import "errors"

// Errors that a caller branches on, with errors.Is. Each says what it obliges the caller to do.
var (
	// ErrLeaseLost: another may hold the job now, or its outcome is recorded already. Nothing was changed.
	// Stop working on the job and keep nothing of it.
	ErrLeaseLost = errors.New("holdfast: lease lost")

	// ErrUnknown: the step may have happened or not. Repeat the same call (Put with the same [WithID]): it counts once.
	ErrUnknown = errors.New("holdfast: outcome unknown")

	// ErrEmpty: there is nothing to take. Come back later.
	ErrEmpty = errors.New("holdfast: nothing to take")

	// ErrNotFound: there is no such job: it never was, or retention removed it.
	ErrNotFound = errors.New("holdfast: not found")

	// ErrDuplicate: a job with this unique key, or another job with this id, is there already. Nothing was put.
	ErrDuplicate = errors.New("holdfast: duplicate")

	// ErrInvalid: an argument is outside its bounds; the message names it and the bound. Mend the call.
	ErrInvalid = errors.New("holdfast: invalid")

	// ErrTooLarge: data, a result or a batch is over its bound; the message names it. Put large data in a file or a
	// table, and its name in the job.
	ErrTooLarge = errors.New("holdfast: too large")

	// ErrCancelled: somebody cancelled the job. As the cause of a handler's context: let go of the job.
	ErrCancelled = errors.New("holdfast: cancelled")

	// ErrTimedOut: an attempt took longer than its MaxRun. As the cause of a handler's context: return soon.
	ErrTimedOut = errors.New("holdfast: timed out")

	// ErrStopping: the consumer is ending and its grace is over. As the cause of a handler's context: return soon,
	// the job is given back.
	ErrStopping = errors.New("holdfast: stopping")

	// ErrCorrupt: what the store holds breaks one of its own rules. Stop, keep a copy, run doctor.
	ErrCorrupt = errors.New("holdfast: store is corrupt")

	// ErrUnusable: this store cannot be used as it is: not a database of ours, a newer schema, a network file system, a
	// folder that cannot be written. The message says which and what to do.
	ErrUnusable = errors.New("holdfast: store is unusable")

	// ErrConflict: the job's state does not allow the action; the message says which state. Nothing was changed.
	ErrConflict = errors.New("holdfast: conflict")

	// ErrClosed: the store was closed. Nothing was changed.
	ErrClosed = errors.New("holdfast: store is closed")
)
