package holdfast

import (
	"context"
	"time"
)

// A Store keeps jobs. Each method is one step in their lives, in batches: a nil error means that the step is on disk, any
// error but ErrUnknown that it did not happen.
//
// ErrUnknown (a commit that failed or was not answered, a context that ended after the call had joined a transaction)
// means that it may have happened. Asking again is safe and gives the first answer: Insert by the jobs' ids, Claim by
// consumer and number, Finish by fence and outcome; the other steps do no harm twice.
//
// A stale lease or a duplicate key is the answer for that item and leaves the other items of the call alone.
//
// The store owns the clock: what is due and which lease has ended is judged by it alone, and delays reach it as
// durations. What was passed to a call stays as it is: after ErrUnknown the store may still read it. Arguments were checked by package holdfast (NewJob.Check and its like); a store may trust them.
//
// Stores are for third parties too: package storetest has the suite that each must pass.
type Store interface {
	// Insert puts jobs: all or none. If a job refuses its duplicate (OnDuplicate), its answer says so and none of the
	// call is put.
	Insert(ctx context.Context, in Insert) ([]Inserted, error)

	// Claim takes jobs that are waiting, by priority, then RunAt, then the order of their puts: those of the first
	// queue, then those of the second and so on until there are N or MaxBatchBytes. What is due becomes waiting first.
	// A paused queue gives nothing. A job whose StartBy has passed is cancelled instead of taken. An empty answer is
	// no error.
	Claim(ctx context.Context, c Claim) (Claimed, error)

	// Extend is the heartbeat: each lease is moved to For from now. One answer per beat.
	Extend(ctx context.Context, beats []Beat) ([]Beaten, error)

	// Finish reports outcomes; a job's new jobs are committed together with it. One answer per outcome.
	Finish(ctx context.Context, outcomes []Outcome) ([]Finished, error)

	// Sweep is the manager's step: what is due becomes waiting, jobs whose lease has ended or whose consumer is dead
	// are given back, what passed its start-by time is cancelled. Any process may do it at any time.
	Sweep(ctx context.Context, s Sweep) (Swept, error)

	// Purge is the cleaner's step: it removes ended jobs that were kept long enough, in a small step; Purged.More says
	// that another is worthwhile. It touches nothing that has not ended.
	Purge(ctx context.Context, p Purge) (Purged, error)

	// Amend is an operator's step on at most Limit of the jobs that a filter names, or on a queue; it is recorded in
	// Activity. Amended.Next is where to go on, zero at the end.
	Amend(ctx context.Context, a Amend) (Amended, error)

	// Show gives a job, its attempts (the latest last, each with its log). ErrNotFound.
	Show(ctx context.Context, id ID) (Info, []Attempt, error)

	// List gives one page of the jobs that a filter names, newest first.
	List(ctx context.Context, l List) (Page, error)

	// Counts gives the exact number of jobs in each state of each queue, without a scan, ordered by queue.
	Counts(ctx context.Context) ([]Counts, error)

	// Stats gives figures per step of time, from the rollups: they outlive the jobs. Ordered by queue, then time.
	Stats(ctx context.Context, q StatsQuery) ([]Rollup, error)

	// Record writes the house's own records; Records reads them.
	Record(ctx context.Context, r Records) error
	Records(ctx context.Context, q RecordsQuery) (Records, error)

	// Wait returns nil when something may be claimable in one of the queues that was not at w.Since, or when a person
	// asked something of w.Consumer's jobs since (cancel); else it returns the context's error. Nothing falls between an
	// empty Claim and a Wait since its Tick. It may return too often, never too late: a lost hint costs at most Poll.
	Wait(ctx context.Context, w Wait) (Tick, error)

	// Close ends the store's own work and lets go of it. Calls under way are answered first.
	Close() error
}

// OnDuplicate says what happens when a unique key is held by another job.
type OnDuplicate uint8

const (
	KeepFirst OnDuplicate = iota // the first job stays as it is and its id is the answer
	Replace                      // the first job gets the new data, times and bounds if it is not running; else ErrDuplicate
	Refuse                       // ErrDuplicate
)

// Insert is the argument of Store.Insert.
type Insert struct {
	Jobs  []NewJob // at most MaxBatchJobs and MaxBatchBytes
	Marks []Mark   // written in the same step
}

// NewJob is a job to put.
type NewJob struct {
	ID          ID
	Queue       string
	Data        []byte        // kept as given
	Priority    int           // 0 to MaxPriority, higher first
	RunAt       time.Time     // due from then on; zero: now
	After       time.Duration // due so long from now, by the store's clock; not with RunAt
	StartBy     time.Time     // zero: any time
	MaxAttempts int           // 0: that of the consumer which reports a failure
	MaxRun      time.Duration // 0: that of the consumer
	UniqueKey   string        // held from Insert until the job has ended; "": none
	OnDuplicate OnDuplicate
	Parent      ID // the job whose handler puts it
}

// Inserted is the answer for one new job.
type Inserted struct {
	ID       ID    // the job's own, or that of the job which holds its unique key
	Made     bool  // it was put: by this call, or by an earlier one with the same id
	Replaced bool  // the job that holds the key got its data
	Err      error // ErrDuplicate: refused, or its id belongs to a different job
}

// Claim is the argument of Store.Claim.
type Claim struct {
	Consumer   ID            // who takes; zero: nobody in particular
	Number     int64         // of this consumer's claim, from 1; the same number again gets the same jobs while it holds them. 0: never repeated
	Queues     []string      // in turn
	N          int           // at most so many jobs
	Lease      time.Duration // held so long without a heartbeat
	Suspects   int           // at most so many of N may be suspects
	Unattended bool          // no process stands behind it: the lease ends by time alone, a suspect counts as started
}

// Claimed is the answer of Store.Claim.
type Claimed struct {
	Jobs []Delivery // in the order in which to handle them
	Tick Tick       // for Wait, if Jobs is empty: read before the claim looked
}

// Delivery is one job in the hands of a consumer.
type Delivery struct {
	Lease
	Info Info // with Data; as it is after the claim
}

// Beat is one heartbeat.
type Beat struct {
	Lease    Lease
	For      time.Duration // the lease's new length, from now
	Started  bool          // its handler has started
	Ran      time.Duration // how long ago
	Progress float64       // 0 to 1
	Note     string
	Log      []byte // what the attempt has logged since the last beat
}

// Beaten is the answer for one beat.
type Beaten struct {
	Err             error // ErrLeaseLost
	CancelRequested bool  // somebody wants the job cancelled
	Paused          bool  // its queue is paused: give back what has not started
}

// OutcomeKind is how an attempt ended. A number on disk, a word everywhere else.
type OutcomeKind uint8

const (
	OutcomeNone     OutcomeKind = iota // it has not ended
	OutcomeDone                        // processed
	OutcomeFailed                      // failed: again later, or for good
	OutcomeReleased                    // given back, costs nothing
	OutcomeLost                        // written by Sweep alone: its lease ended
	OutcomeDied                        // written by Sweep alone: its consumer died
	OutcomeCrashed                     // written by Sweep alone: it killed its consumer
)

var outcomeNames = [...]string{"", "done", "failed", "released", "lost", "died", "crashed"}

// String gives the outcome's word, "" for none.
func (k OutcomeKind) String() string {
	if int(k) < len(outcomeNames) {
		return outcomeNames[k]
	}
	return "unknown"
}

// Outcome reports how a delivery ended. While a cancel is requested, failed and released make the job cancelled, and
// done makes it done.
type Outcome struct {
	Lease  Lease
	Kind   OutcomeKind   // OutcomeDone, OutcomeFailed or OutcomeReleased
	Unrun  bool          // the handler never started: the attempt's number is used again and no attempt is recorded
	Took   time.Duration // since the handler's start
	Result []byte        // of OutcomeDone
	New    []NewJob      // of OutcomeDone: put in the same step, or none of it happens and Finished.Err says why
	Log    []byte        // what the attempt has logged since the last beat

	Error       string        // of OutcomeFailed
	Final       bool          // of OutcomeFailed: no further attempt
	MaxAttempts int           // of OutcomeFailed: the consumer's; the job's own wins
	After       time.Duration // of OutcomeFailed: pause before the next attempt; of OutcomeReleased: not before
	Attached    bool          // of OutcomeFailed, if the job fails with it: a file belongs to it, described by Result
}

// Finished is the answer for one outcome: what came of it.
type Finished struct {
	Err   error // ErrLeaseLost, or ErrDuplicate of a new job: nothing of this outcome happened
	State State // the job's now
	Why   Reason
	RunAt time.Time // of the next attempt, if any
	Last  bool      // it was the last attempt that the job has
}

// Sweep is the argument of Store.Sweep.
type Sweep struct {
	Every      time.Duration // nothing is done if a sweep was done within this time; 0: always
	Lease      time.Duration // after a gap of more than a third of it without a sweep, leases that processes hold get this much from now
	Dead       []ID          // consumers known to be dead: their jobs are given back at once
	MaxCrashes int           // a job is set aside at so many crashes; 0: never
	Limit      int           // at most so many jobs of each sort
}

// Swept is the answer of Store.Sweep.
type Swept struct {
	Skipped   bool // a sweep was done within Every
	Graced    bool // there was a gap: leases got more time
	Due       int  // scheduled jobs that are waiting now
	Returned  int  // jobs of dead or silent consumers that are waiting again
	SetAside  int  // jobs that failed for their crashes
	Cancelled int  // jobs whose holder is gone and whose cancel was requested, and jobs past their start-by time
	More      bool // Limit was reached
}

// Forever keeps ended jobs until somebody deletes them.
const Forever time.Duration = 1<<63 - 1

// Retention says how long ended jobs are kept; never less than MinKept. Here zero is a value: gone at the first look.
type Retention struct {
	Done, Cancelled, Failed time.Duration
	Jobs                    int // and of the ended jobs of a queue at most so many, oldest go first; 0: no such bound
}

// Purge is the argument of Store.Purge.
type Purge struct {
	Keep   Retention
	Queues map[string]Retention // by queue, instead of Keep
	Limit  int                  // at most so many jobs in this step
}

// Purged is the answer of Store.Purge. Jobs with Attached are left to the cleaner that knows their files.
type Purged struct {
	Jobs int
	More bool
}

// Action is what an operator does.
type Action string

const (
	ActionRetry  Action = "retry"   // an ended job waits again, its failures, deaths and crashes forgotten; one scheduled for its next attempt is due now
	ActionCancel Action = "cancel"  // a job that has not ended; the holder of a running one is asked
	ActionDelete Action = "delete"  // a job that is not running, with its history
	ActionRunNow Action = "run-now" // a scheduled job is due now
	ActionPause  Action = "pause"   // nothing is taken from the queue
	ActionResume Action = "resume"  // again
)

// Amend is the argument of Store.Amend.
type Amend struct {
	Action   Action
	Filter   Filter // of jobs; a retry by filter without states means failed and cancelled jobs
	Queue    string // of ActionPause and ActionResume
	Actor    string // who; recorded
	Via      string // from where: command, library, panel; recorded
	Activity ID     // the line of Activity: the same in each step of one action
	After    Cursor // where the last step ended
	Limit    int    // at most so many jobs looked at in this step
}

// Amended is the answer of Store.Amend.
type Amended struct {
	Changed int
	Skipped []Skipped
	Next    Cursor // zero: all were looked at
}

// Skipped is a job that an action left alone.
type Skipped struct {
	ID     ID
	Reason string // for people: "is running"
	Err    error  // ErrNotFound, ErrConflict or ErrDuplicate
}

// Cursor is a place in a listing, opaque outside its store. The zero Cursor is the beginning.
type Cursor string

// List is the argument of Store.List.
type List struct {
	Filter Filter
	After  Cursor
	Limit  int  // at most MaxPage; 0: MaxPage
	Data   bool // with Data and Result
}

// Page is the answer of Store.List.
type Page struct {
	Jobs []Info
	Next Cursor // zero: this was the last page
}

// Counts is the number of jobs of one queue in each state.
type Counts struct {
	Queue    string
	States   [6]int64  // indexed by State
	PausedAt time.Time // zero: it is not paused
	PausedBy string
	Oldest   time.Time // the earliest RunAt of its waiting jobs
}

// Of is the number in one state.
func (c Counts) Of(s State) int64 { return c.States[s] }

// StatsQuery is the argument of Store.Stats.
type StatsQuery struct {
	Queue        string // "": each queue
	Since, Until time.Time
	Step         time.Duration // whole minutes; 0: a minute
}

// Rollup is what happened in one queue in one step of time.
type Rollup struct {
	Queue    string
	At       time.Time // the step's begin
	Made     int64     // jobs put
	Started  int64     // deliveries
	Done     int64     // jobs done
	Failed   int64     // attempts failed
	Ended    int64     // jobs that ended: done, failed or cancelled
	Returned int64     // jobs given back by Sweep
	Waited   Histogram // from due until the handler's start, of attempts that ended
	Took     Histogram // from the handler's start to its end
}

// Consumer is a process that takes jobs, as others see it.
type Consumer struct {
	ID         ID // made anew at each start
	Name       string
	Host       string
	PID        int
	Version    string
	Queues     []string
	StartedAt  time.Time
	SeenAt     time.Time // of its last record
	MaxCrashes int       // its MaxCrashes, which counts when it dies; 0: no limit
	Unattended bool      // no process stands behind it
	Ended      bool      // it has ended in peace
}

// Activity is one line of who did what.
type Activity struct {
	ID      ID
	At      time.Time
	Actor   string
	Via     string
	Action  Action
	What    string // the filter or the queue, for people
	Changed int64
	Skipped int64
}

// Mark of a name keeps a value beside the jobs: an import's position, a folder's truth.
type Mark struct {
	Name  string
	Value []byte // nil: no such mark
}

// Records are the house's own records.
type Records struct {
	Consumers []Consumer
	Activity  []Activity
	Marks     []Mark
}

// RecordsQuery says which records to read; what is not asked for is left out.
type RecordsQuery struct {
	Consumers bool
	Consumer  ID  // just this one, ended or not
	Activity  int // at most so many lines, the latest first
	Marks     []string
}

// Wait is the argument of Store.Wait.
type Wait struct {
	Queues   []string
	Consumer ID // zero: no one's
	Since    Tick
}

// Tick is a moment in the life of a store, opaque outside it: what happens after it is news to a Wait since it. The zero
// Tick is before everything.
type Tick [2]uint64

// Poll is the longest that a lost wake-up may delay a Wait.
const Poll = 10 * time.Second
