package holdfast

import (
	"fmt"
	"time"
)

// State is where a job is in its life. A number on disk, a word everywhere else.
type State uint8

const (
	Scheduled State = iota // may be taken from a time on
	Waiting                // may be taken now
	Running                // a consumer holds its lease
	Done                   // processed
	Failed                 // out of attempts, or failed for good: the dead letter
	Cancelled              // somebody, or its start-by time, stopped it
)

// States has every state, in the order of a job's life.
var States = []State{Scheduled, Waiting, Running, Done, Failed, Cancelled}

var stateNames = [...]string{"scheduled", "waiting", "running", "done", "failed", "cancelled"}

// String gives the state's word.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Ended says whether the job's life is over, unless a person reopens it.
func (s State) Ended() bool { return s >= Done }

// ParseState reads a state's word.
func ParseState(word string) (State, error) {
	for i, name := range stateNames {
		if word == name {
			return State(i), nil
		}
	}
	return 0, fmt.Errorf("%w: %s is not a state; states are scheduled, waiting, running, done, failed, cancelled", ErrInvalid, quoted(word))
}

// MarshalText gives the state's word.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a state's word.
func (s *State) UnmarshalText(text []byte) error {
	parsed, err := ParseState(string(text))
	if err == nil {
		*s = parsed
	}
	return err
}

// Reason says why a job is in its state, where the state alone does not. One word each, the same on disk, in JSON and
// on every page.
type Reason string

const (
	ReasonNone      Reason = ""
	ReasonRetry     Reason = "retry"     // scheduled: an attempt failed, the next is due at RunAt
	ReasonReleased  Reason = "released"  // scheduled, waiting: its consumer gave it back
	ReasonSwept     Reason = "swept"     // waiting: its consumer died, or its lease ended
	ReasonReopened  Reason = "reopened"  // waiting: a person retried it
	ReasonRunNow    Reason = "run now"   // waiting: a person made it due
	ReasonExhausted Reason = "exhausted" // failed: no attempts left
	ReasonPermanent Reason = "permanent" // failed: its handler said for good
	ReasonCrashes   Reason = "crashes"   // failed: it kept killing its consumer
	ReasonAbandoned Reason = "abandoned" // failed: taken without a process (get, HTTP), its lease ended too often
	ReasonRequested Reason = "requested" // cancelled: a person or program asked
	ReasonTooLate   Reason = "too late"  // cancelled: not started by its start-by time
)

// Info is a job as its store knows it. Times are wall time, zero where there is none.
type Info struct {
	ID    ID
	Queue string
	State State
	Why   Reason

	Priority    int           // 0 to 9, higher first
	MaxAttempts int           // the job's own; 0: that of the consumer which reports a failure
	MaxRun      time.Duration // the job's own; 0: that of its consumer
	UniqueKey   string
	Parent      ID // the job that produced this one

	Fence    int64 // deliveries so far: up by one at each, never down
	Attempt  int   // the latest attempt's number, for people; 0 before the first
	Failures int   // attempts that failed since it was put or last reopened: they count against max attempts
	Deaths   int   // consumers that died with it in hand; from the second on it is a suspect
	Crashes  int   // of these, while it was claimed alone and had started

	MadeAt          time.Time
	RunAt           time.Time // due from then on
	StartBy         time.Time // not started by then: cancelled
	StartedAt       time.Time // of the latest attempt; until its start was reported, when it was claimed
	EndedAt         time.Time // of the job
	LeaseUntil      time.Time // while running
	CancelRequested time.Time // somebody asked the holder to let go

	Consumer ID            // of the latest attempt
	Took     time.Duration // of the latest attempt, once it has ended
	Waited   time.Duration // from due until the latest attempt's start
	Error    string        // of the latest failed attempt
	Cause    uint64        // failures with the same fingerprint have the same cause; 0: none
	Progress float64       // 0 to 1, of the running attempt
	Note     string        // of the running attempt
	Attached bool          // a file of ours belongs to the failed job: only the cleaner that knows it removes both

	Data   []byte // as put; nil where a listing was asked to leave it out
	Result []byte // of a done job
}

// Suspect says whether the job is claimed alone because consumers died with it in hand.
func (i *Info) Suspect() bool { return i.Deaths >= SuspectDeaths }

// SuspectDeaths is the number of deaths from which on a job is a suspect: it is claimed alone, and its start is
// committed before its handler runs, so that the next death is known to be its own (a crash).
const SuspectDeaths = 2

// Attempt is one delivery of a job to a consumer.
type Attempt struct {
	N         int
	Consumer  ID
	Host      string // of the consumer
	StartedAt time.Time
	EndedAt   time.Time // zero while it runs
	Took      time.Duration
	Outcome   OutcomeKind // zero while it runs
	Error     string
	Log       []byte // the last part of it, at most MaxLogBytes
}
