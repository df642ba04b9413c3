//go:build unix

package crashtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/sqlite"
)

// write is a role: it puts one job after another, as fast as it can, for so many milliseconds.
func write(c *Child) error {
	var p place
	if err := c.Args(&p); err != nil {
		return err
	}
	store, err := sqlite.Open(c.Ctx, p.DB)
	if err != nil {
		return err
	}
	defer store.Close()
	c.Say("ready")
	line, err := c.Hear()
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(line)
	if err != nil {
		return err
	}
	queue := holdfast.NewQueue[int](store, "saturated")
	puts, longest := 0, time.Duration(0)
	for end := time.Now().Add(time.Duration(n) * time.Millisecond); time.Now().Before(end); puts++ {
		began := time.Now()
		if _, err := queue.Put(c.Ctx, puts); err != nil {
			return err
		}
		longest = max(longest, time.Since(began))
	}
	c.Say("wrote %d %d", puts, longest.Microseconds())
	return nil
}

// Eight processes write as fast as they can: none gets an error, none waits long.
func TestSaturatedWritersWaitTheirTurn(t *testing.T) {
	const many = 8
	lasts := time.Duration(sized(10, 30)) * time.Second
	p := newPlace(t)
	store := p.open(t)
	writers := make([]*Process, many)
	for i := range writers {
		writers[i] = Start(t, "write", p)
	}
	for _, w := range writers {
		w.Expect("ready")
	}
	for _, w := range writers {
		w.Say("%d", lasts.Milliseconds())
	}
	total, least, longest := 0, 0, time.Duration(0)
	for i, w := range writers {
		words := w.Expect("wrote")
		puts, _ := strconv.Atoi(words[0])
		micros, _ := strconv.Atoi(words[1])
		total += puts
		if i == 0 || puts < least {
			least = puts
		}
		longest = max(longest, time.Duration(micros)*time.Microsecond)
		w.End()
	}
	figures(t, "saturated", "writers", many, "seconds", lasts.Seconds(), "puts", total, "puts_of_the_slowest", least, "longest_ms", ms(longest))
	bounded(t, "longest wait for one Put", longest, time.Second)
	counts, err := store.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(counts) != 1 || counts[0].Of(holdfast.Waiting) != int64(total) {
		t.Errorf("counts: %+v, want %d waiting", counts, total)
	}
}

// wake is a role: it waits for jobs and says when it has each, and how often it was woken for nothing.
func wake(c *Child) error {
	var p place
	if err := c.Args(&p); err != nil {
		return err
	}
	store, err := sqlite.Open(c.Ctx, p.DB)
	if err != nil {
		return err
	}
	defer store.Close()
	me := holdfast.NewID()
	if err := store.Record(c.Ctx, holdfast.Records{Consumers: []holdfast.Consumer{{ID: me, PID: os.Getpid()}}}); err != nil {
		return err
	}
	c.Say("ready")
	early, woken := 0, false
	for number := int64(1); ; number++ {
		claimed, err := store.Claim(c.Ctx, holdfast.Claim{Consumer: me, Number: number, Queues: []string{"wake"}, N: 1, Lease: time.Minute})
		if c.Ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if len(claimed.Jobs) > 0 {
			job := claimed.Jobs[0]
			c.Say("got %v %d %d", job.Job, time.Now().UnixNano(), early)
			if _, err := store.Finish(context.WithoutCancel(c.Ctx), []holdfast.Outcome{{Lease: job.Lease, Kind: holdfast.OutcomeDone}}); err != nil {
				return err
			}
			woken = false
			continue
		}
		if woken {
			early++
		}
		if _, err := store.Wait(c.Ctx, holdfast.Wait{Queues: []string{"wake"}, Since: claimed.Tick}); err != nil {
			return nil // told to end
		}
		woken = true
	}
}

// Each commit of another process wakes who waits: none is missed, none is told of before it can be seen.
func TestCommitsOfOtherProcessesWake(t *testing.T) {
	const commits = 300
	for name, put := range map[string]func(*testing.T, *sqlite.Store, int) holdfast.ID{
		"Put": func(t *testing.T, s *sqlite.Store, n int) holdfast.ID {
			id, err := holdfast.NewQueue[int](s, "wake").Put(t.Context(), n)
			if err != nil {
				t.Fatal(err)
			}
			return id
		},
		"Put in the caller's transaction": putJoined,
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			store := p.open(t)
			waker := Start(t, "wake", p)
			waker.Expect("ready")
			waits := make([]time.Duration, 0, commits)
			early := 0
			for i := range commits {
				<-time.After(3*time.Millisecond + rand.N(3*time.Millisecond)) // the pace of commits: it waits again
				id := put(t, store, i)
				committed := time.Now()
				words := waker.Expect("got")
				if words[0] != id.String() {
					t.Fatalf("commit %d: got job %s, want %v", i, words[0], id)
				}
				nanos, _ := strconv.ParseInt(words[1], 10, 64)
				early, _ = strconv.Atoi(words[2])
				waits = append(waits, max(time.Unix(0, nanos).Sub(committed), 0))
			}
			waker.End()
			got := quantiles(waits)
			missed := 0
			for _, w := range waits {
				if w > holdfast.Poll/4 {
					missed++
				}
			}
			figures(t, "wake-ups", "by", name, "commits", commits, "missed", missed, "early", early, "p50_ms", ms(got.p50), "p99_ms", ms(got.p99), "max_ms", ms(got.most))
			if missed > 0 {
				t.Errorf("%d of %d commits were found by looking again, not by their wake-up", missed, commits)
			}
			if early > 0 {
				t.Errorf("%d wake-ups came before there was anything to see", early)
			}
			bounded(t, "median wake-up", got.p50, 10*time.Millisecond)
		})
	}
}

// putJoined puts in a transaction of the caller's own, which rings no bell when it commits.
func putJoined(t *testing.T, s *sqlite.Store, n int) holdfast.ID {
	t.Helper()
	tx, err := s.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	scope, err := s.Join(t.Context(), tx)
	if err != nil {
		t.Fatal(err)
	}
	id, err := holdfast.NewQueue[int](s, "wake").In(scope).Put(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return id
}

// idle is a role: many consumers that wait, and what the process spends on them.
func idle(c *Child) error {
	var args struct {
		place
		Consumers int
		Engines   bool // each a whole Consume; else each a Wait
	}
	if err := c.Args(&args); err != nil {
		return err
	}
	store, err := sqlite.Open(c.Ctx, args.DB)
	if err != nil {
		return err
	}
	defer store.Close()
	var group sync.WaitGroup
	defer group.Wait()
	for i := range args.Consumers {
		queue := fmt.Sprintf("idle-%d-%d", os.Getpid(), i)
		group.Go(func() {
			if args.Engines {
				holdfast.Consume(c.Ctx, holdfast.Config{Logger: quiet()}, holdfast.NewQueue[int](store, queue).Handle(func(context.Context, *holdfast.Job[int]) error { return nil }))
				return
			}
			claim := holdfast.Claim{Queues: []string{queue}, N: 1, Lease: time.Minute}
			for c.Ctx.Err() == nil {
				claimed, err := store.Claim(c.Ctx, claim)
				if err == nil {
					_, _ = store.Wait(c.Ctx, holdfast.Wait{Queues: []string{queue}, Since: claimed.Tick})
				}
			}
		})
	}
	c.Say("ready")
	for {
		if _, err := c.Hear(); err != nil {
			return nil
		}
		used, err := cpuTime()
		if err != nil {
			return err
		}
		c.Say("used %d", used.Nanoseconds())
	}
}

// A thousand consumers that have nothing to do cost nothing worth mentioning. A thousand whole Consumes, each with a
// manager, a cleaner and a record of its own, look around now and then.
func TestIdleConsumersCostNothing(t *testing.T) {
	const processes, each = 4, 250
	lasts := time.Duration(sized(6, 20)) * time.Second
	for name, most := range map[string]float64{"waiting": 1, "consuming": 15} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.open(t)
			var idlers []*Process
			for range processes {
				idlers = append(idlers, Start(t, "idle", struct {
					place
					Consumers int
					Engines   bool
				}{p, each, name == "consuming"}))
			}
			used := func() (sum time.Duration) {
				for _, i := range idlers {
					i.Say("measure")
				}
				for _, i := range idlers {
					nanos, _ := strconv.ParseInt(i.Expect("used")[0], 10, 64)
					sum += time.Duration(nanos)
				}
				return sum
			}
			for _, i := range idlers {
				i.Expect("ready")
			}
			<-time.After(3 * time.Second) // they all settle down
			before, began := used(), time.Now()
			<-time.After(lasts)
			percent := 100 * float64(used()-before) / float64(time.Since(began))
			figures(t, "idle", "what", name, "consumers", processes*each, "seconds", lasts.Seconds(), "percent_of_a_core", percent)
			if percent >= most && !raceDetector {
				t.Errorf("%d idle consumers use %.2f %% of a core, want less than %v", processes*each, percent, most)
			}
			for _, i := range idlers {
				i.End()
			}
		})
	}
}
