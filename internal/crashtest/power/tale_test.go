package power

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/holdfastq/holdfast"
)

// said is one line of a child's tale: what it is about to ask of the store, or what the store answered. Each line is
// written by one call of the kernel, before the call it announces and after the answer it repeats.
type said struct {
	N    int64  // of the call; its answer has the same
	Word string // try, ok, err; end: the script is through
	Call string // put, claim, finish, purge, delete, cancel, retry, pause, resume, mark

	Jobs    []saidJob   `json:",omitempty"`
	Leases  []saidLease `json:",omitempty"`
	Queue   string      `json:",omitempty"`
	Mark    string      `json:",omitempty"`
	Error   string      `json:",omitempty"`
	Unknown bool        `json:",omitempty"` // the error was ErrUnknown
}

// saidJob is a job to put, or what became of it.
type saidJob struct {
	ID       string
	Queue    string `json:",omitempty"`
	Priority int    `json:",omitempty"`
	Sum      string `json:",omitempty"` // of its data
	Key      bool   `json:",omitempty"` // it has a unique key: another may answer for it
	Made     bool   `json:",omitempty"` // of an answer
}

// saidLease is a delivery, how it ended, and what the store made of that.
type saidLease struct {
	ID      string
	Fence   int64
	Attempt int                  `json:",omitempty"`
	Kind    holdfast.OutcomeKind `json:",omitempty"`
	Sum     string               `json:",omitempty"` // of its result
	Jobs    []saidJob            `json:",omitempty"` // it put them
	Refused bool                 `json:",omitempty"` // of an answer: nothing of it happened
}

// sumOf is a short name for data; "" for none.
func sumOf(data []byte) string {
	if len(data) == 0 {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// tale is where a child writes what it says.
type tale struct {
	mu   sync.Mutex
	file *os.File
	n    atomic.Int64
}

func openTale(path string) (*tale, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	return &tale{file: f}, err
}

// say writes a line.
func (t *tale) say(s said) {
	line, err := json.Marshal(s)
	if err == nil {
		t.mu.Lock()
		_, err = t.file.Write(append(line, '\n'))
		t.mu.Unlock()
	}
	if err != nil {
		panic(err) // without its tale a life proves nothing
	}
}

// try announces a call, makes it, and repeats the answer. What the call gives is added to the answer's line.
func (t *tale) try(s said, call func(answer *said) error) error {
	s.N = t.n.Add(1)
	s.Word = "try"
	t.say(s)
	answer := said{N: s.N, Word: "ok", Call: s.Call, Queue: s.Queue, Mark: s.Mark}
	err := call(&answer)
	if err != nil {
		answer = said{N: s.N, Word: "err", Call: s.Call, Error: err.Error(), Unknown: isUnknown(err)}
	}
	t.say(answer)
	return err
}

// readTale reads the tale of a child that may have been killed while it wrote.
func readTale(t testing.TB, path string) []said {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []said
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var s said
		if err := json.Unmarshal(in.Bytes(), &s); err != nil {
			t.Fatalf("tale: %v: %.80q", err, in.Text())
		}
		all = append(all, s)
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// ledger is what must be true of a store according to a tale heard so far.
type ledger struct {
	tries   map[int64]said     // by number
	jobs    map[string]saidJob // that somebody tried to put
	parents map[string]string  // of jobs that came out of others
	fruits  map[delivery][]saidJob
	kinds   map[delivery][]holdfast.OutcomeKind // that somebody tried to report
	claims  int                                 // tried
	unsure  map[string]bool                     // a put of it had an unknown outcome
	refused map[string]bool                     // each put of it was refused for sure
	ending  map[string]bool                     // something was tried that may end the job
	deleted map[string]bool                     // somebody tried
	retried map[string]bool
	cancels map[string]bool
	purged  bool // somebody tried

	facts []fact // acknowledged, in the order of the answers
}

type delivery struct {
	id    string
	fence int64
}

// fact is something that a store has acknowledged.
type fact struct {
	try  int64 // number of the call
	call string
	job  string // "" if it is about none
	what string
	now  func(r *rows) bool // it is so right after the commit that made it so
	ever func(r *rows) bool // it stays so, whatever comes later; nil: it may change
}

func newLedger() *ledger {
	return &ledger{
		tries: map[int64]said{}, jobs: map[string]saidJob{}, parents: map[string]string{}, fruits: map[delivery][]saidJob{},
		kinds: map[delivery][]holdfast.OutcomeKind{}, unsure: map[string]bool{}, refused: map[string]bool{}, ending: map[string]bool{},
		deleted: map[string]bool{}, retried: map[string]bool{}, cancels: map[string]bool{},
	}
}

// hear takes a line in and gives the facts that it adds.
func (l *ledger) hear(s said) []fact {
	old := len(l.facts)
	switch s.Word {
	case "try":
		l.tries[s.N] = s
		l.tried(s)
	case "ok":
		l.answered(l.tries[s.N], s)
	case "err":
		for _, j := range l.tries[s.N].Jobs {
			if s.Call == "put" {
				l.unsure[j.ID] = l.unsure[j.ID] || s.Unknown
				l.refused[j.ID] = !l.unsure[j.ID] // an earlier try may have put it
			}
		}
	}
	return l.facts[old:]
}

// tried notes what may have happened.
func (l *ledger) tried(s said) {
	for _, j := range s.Jobs {
		switch s.Call {
		case "put":
			l.jobs[j.ID] = j
			delete(l.refused, j.ID)
		case "delete":
			l.deleted[j.ID] = true
		case "cancel":
			l.cancels[j.ID], l.ending[j.ID] = true, true
		case "retry":
			l.retried[j.ID] = true
		}
	}
	switch s.Call {
	case "claim":
		l.claims++
	case "purge":
		l.purged = true
	case "finish":
		for _, lease := range s.Leases {
			d := delivery{lease.ID, lease.Fence}
			l.kinds[d] = append(l.kinds[d], lease.Kind)
			l.ending[lease.ID] = true
			for _, j := range lease.Jobs {
				l.jobs[j.ID], l.parents[j.ID] = j, lease.ID
				l.fruits[d] = append(l.fruits[d], j)
			}
		}
	}
}

// answered notes what has happened.
func (l *ledger) answered(try, ok said) {
	add := func(job, what string, now, ever func(*rows) bool) {
		l.facts = append(l.facts, fact{ok.N, ok.Call, job, what, now, ever})
	}
	switch ok.Call {
	case "put":
		for _, j := range ok.Jobs {
			if j.Made {
				there := func(r *rows) bool { return r.jobs[j.ID] != nil }
				add(j.ID, "put", there, there)
			}
		}
	case "claim":
		for _, lease := range ok.Leases {
			taken := func(r *rows) bool { j := r.jobs[lease.ID]; return j != nil && j.fence >= lease.Fence }
			add(lease.ID, fmt.Sprintf("claimed with fence %d", lease.Fence), taken, taken)
		}
	case "finish":
		for i, lease := range try.Leases {
			if i < len(ok.Leases) && !ok.Leases[i].Refused {
				recorded := func(r *rows) bool { return r.recorded(lease) }
				add(lease.ID, fmt.Sprintf("%v with fence %d", lease.Kind, lease.Fence), recorded, recorded)
				for _, j := range lease.Jobs {
					if j.Key {
						continue // another may hold it
					}
					there := func(r *rows) bool { return r.jobs[j.ID] != nil }
					add(j.ID, "put by "+lease.ID, there, there)
				}
			}
		}
	case "delete":
		for _, j := range ok.Jobs {
			absent := func(r *rows) bool { return r.jobs[j.ID] == nil }
			add("", "deleted "+j.ID, absent, absent)
		}
	case "cancel":
		for _, j := range ok.Jobs {
			ended := func(r *rows) bool { return r.jobs[j.ID] != nil && r.jobs[j.ID].state == holdfast.Cancelled }
			add(j.ID, "cancelled", ended, nil)
		}
	case "retry":
		for _, j := range ok.Jobs {
			waits := func(r *rows) bool { return r.jobs[j.ID] != nil && r.jobs[j.ID].state == holdfast.Waiting }
			add(j.ID, "reopened", waits, nil)
		}
	case "pause", "resume":
		add("", ok.Call+" "+ok.Queue, func(r *rows) bool { return r.queue(ok.Queue).paused == (ok.Call == "pause") }, nil)
	case "mark":
		add("", "marked "+ok.Mark, func(r *rows) bool { return r.marks["life"] == ok.Mark }, nil)
	}
}

// removable says whether it may be right that a job is not there any more.
func (l *ledger) removable(id string) bool { return l.deleted[id] || l.purged && l.ending[id] }
