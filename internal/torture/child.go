package torture

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/holdfastq/holdfast"
)

// Roles of children.
const (
	roleProducer = "producer"
	roleConsumer = "consumer"
	roleManager  = "manager"
)

var queueNames = []string{"torture-a", "torture-b"}

// errand is what a child is told, as JSON in its only argument.
type errand struct {
	Role    string
	Life    int    // its number in this run
	File    string // of the store
	Records string // folder of the journals
	Seed    uint64 // of this process
	Lease   time.Duration
	Rate    float64 // jobs in a second, of a producer
}

// Child is the whole life of a child process: what the hidden command calls with its arguments. It gives the exit code.
// The child ends when its input is closed, or with its parent.
func Child(args []string, open Opener) int {
	signal.Ignore(os.Interrupt) // meant for the parent, which ends its children
	var e errand
	if len(args) != 1 || json.Unmarshal([]byte(args[0]), &e) != nil {
		fmt.Fprintln(os.Stderr, "this command is a part of holdfast torture")
		return 2
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := e.run(ctx, open); err != nil && ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", e.Role, err)
		return 1
	}
	return 0
}

func (e *errand) run(ctx context.Context, open Opener) error {
	j, err := openJournal(e.Records, e.Role, e.Life)
	if err != nil {
		return err
	}
	go e.watchClock(ctx, j)
	s, err := open(ctx, e.File)
	if err != nil {
		if ctx.Err() == nil {
			j.note(wordBad, strings.Fields("open: "+err.Error())...)
		}
		return err
	}
	defer s.Close()
	w := &worker{errand: e, journal: j, store: &recorder{Store: s, journal: j}, luck: rand.New(rand.NewPCG(e.Seed, 1))}
	switch e.Role {
	case roleProducer:
		err = w.produce(ctx)
	case roleConsumer:
		err = w.consume(ctx)
	case roleManager:
		err = holdfast.Maintain(ctx, w.store, w.config())
	default:
		err = fmt.Errorf("no role %q", e.Role)
	}
	if err != nil && ctx.Err() == nil {
		j.note(wordBad, strings.Fields(err.Error())...)
	}
	return err
}

// watchClock notes when the machine gave this process no time: then its leases may have ended by no fault of ours.
func (e *errand) watchClock(ctx context.Context, j *journal) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for last := time.Now(); ctx.Err() == nil; {
		<-tick.C
		now := time.Now()
		if now.Sub(last) > e.Lease/4 {
			j.note(wordStall, strconv.FormatInt(last.UnixNano(), 10))
		}
		last = now
	}
}

// worker is a producer or a consumer at work.
type worker struct {
	*errand
	journal *journal
	store   holdfast.Store
	luck    *rand.Rand // of the producer's loop; handlers have their own
}

func (w *worker) config() holdfast.Config {
	return holdfast.Config{
		Concurrency: 8, Lease: w.Lease, Grace: 2 * time.Second, MaxAttempts: holdfast.MaxAttemptsBound, MaxCrashes: holdfast.No,
		Backoff: holdfast.Backoff(5*time.Millisecond, 50*time.Millisecond),
		Keep:    holdfast.Retention{Done: holdfast.Forever, Cancelled: holdfast.Forever, Failed: holdfast.Forever, Jobs: holdfast.No},
		Logger:  slog.New(slog.DiscardHandler),
	}
}

// parcel is the data of a job: Sum proves that it is the one that was put under this id.
type parcel struct {
	Pad   string
	Sum   string
	Fruit bool // another job has produced it
}

func newParcel(id holdfast.ID, luck *rand.Rand, fruit bool) parcel {
	pad := make([]byte, luck.IntN(60))
	if luck.IntN(50) == 0 {
		pad = make([]byte, 600+luck.IntN(2000)) // kept apart by some stores
	}
	for i := range pad {
		pad[i] = byte(luck.Uint32())
	}
	p := parcel{Pad: hex.EncodeToString(pad), Fruit: fruit}
	p.Sum = p.sum(id)
	return p
}

func (p *parcel) sum(id holdfast.ID) string {
	h := sha256.Sum256([]byte(id.String() + p.Pad))
	return hex.EncodeToString(h[:8])
}

// crowd is how many jobs may wait before producers make a pause, so that what is put is also taken.
const crowd = 1_000

func (w *worker) produce(ctx context.Context) error {
	for n := 0; ctx.Err() == nil; n++ {
		if n%10 == 0 {
			if err := w.restrain(ctx); err != nil {
				return err
			}
		}
		size := 1
		if w.luck.IntN(3) == 0 {
			size = 2 + w.luck.IntN(20)
		}
		if err := w.put(ctx, size); err != nil {
			return err
		}
		pause(ctx, time.Duration(w.luck.Float64()*2*float64(size)/w.Rate*float64(time.Second)))
	}
	return nil
}

// restrain waits while too many jobs wait.
func (w *worker) restrain(ctx context.Context) error {
	for ctx.Err() == nil {
		counts, err := w.store.Counts(ctx)
		if err != nil {
			return err
		}
		waiting := int64(0)
		for _, c := range counts {
			waiting += c.Of(holdfast.Waiting) + c.Of(holdfast.Scheduled)
		}
		if waiting < crowd {
			return nil
		}
		pause(ctx, 20*time.Millisecond)
	}
	return nil
}

// put puts jobs, and puts them again while it does not know what came of it.
func (w *worker) put(ctx context.Context, size int) error {
	jobs := make([]holdfast.NewJob, size)
	for i := range jobs {
		id := holdfast.NewID()
		data, err := json.Marshal(newParcel(id, w.luck, false))
		if err != nil {
			return err
		}
		jobs[i] = holdfast.NewJob{ID: id, Queue: queueNames[w.luck.IntN(len(queueNames))], Data: data, Priority: w.luck.IntN(3)}
		if w.luck.IntN(10) == 0 {
			jobs[i].After = time.Duration(w.luck.Int64N(int64(500 * time.Millisecond)))
		}
	}
	for try := 0; ; try++ {
		_, err := w.store.Insert(ctx, holdfast.Insert{Jobs: jobs})
		if err == nil || ctx.Err() != nil || !errors.Is(err, holdfast.ErrUnknown) || try == 10 {
			return err
		}
	}
}

func (w *worker) consume(ctx context.Context) error {
	var handlers []holdfast.Handler
	for _, name := range queueNames {
		q := holdfast.NewQueue[parcel](w.store, name)
		handlers = append(handlers, q.Handle(func(ctx context.Context, j *holdfast.Job[parcel]) error { return w.handle(ctx, q, j) }))
	}
	return holdfast.Consume(ctx, w.config(), handlers...)
}

// handle does what handlers do: mostly little, sometimes long; it fails, gives back, produces.
func (w *worker) handle(ctx context.Context, q *holdfast.Queue[parcel], j *holdfast.Job[parcel]) error {
	lease := holdfast.Lease{Job: j.ID, Fence: j.Fence()}
	w.journal.note(wordStart, lease.String())
	if j.Data.Sum != j.Data.sum(j.ID) {
		w.journal.note(wordBad, "job", j.ID.String(), "came", "with", "other", "data", "than", "was", "put")
	}
	luck := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	work := time.Duration(0)
	switch at := luck.IntN(100); {
	case at < 3: // heartbeats must keep it
		work = w.Lease/2 + time.Duration(luck.Int64N(int64(w.Lease)))
	case at < 25:
		work = time.Duration(luck.Int64N(int64(30 * time.Millisecond)))
	}
	pause(ctx, work)
	if ctx.Err() != nil {
		w.journal.note(wordEnd, lease.String(), "gone")
		return context.Cause(ctx)
	}
	switch at := luck.IntN(100); {
	case at < 8:
		w.journal.note(wordEnd, lease.String(), "failed")
		return errors.New("no luck")
	case at < 13:
		w.journal.note(wordEnd, lease.String(), "released")
		return holdfast.ReleaseAfter(time.Duration(luck.Int64N(int64(20 * time.Millisecond))))
	case at < 23 && !j.Data.Fruit:
		for range 1 + luck.IntN(3) {
			id := holdfast.NewID()
			if _, err := q.In(j).Put(ctx, newParcel(id, luck, true), holdfast.WithID(id)); err != nil {
				return err
			}
		}
	}
	w.journal.keep(wordEnd, lease.String(), "done")
	return nil
}

// pause waits, or ends early with the context.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
