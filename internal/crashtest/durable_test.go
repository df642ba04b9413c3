//go:build unix

package crashtest

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/sqlite"
)

// put is a role: it puts jobs of many sizes until it is killed, and writes down each that was answered.
func put(c *Child) error {
	var p place
	if err := c.Args(&p); err != nil {
		return err
	}
	store, err := sqlite.Open(c.Ctx, p.DB)
	if err != nil {
		return err
	}
	defer store.Close()
	journal, err := OpenJournal(p.Dir, "put")
	if err != nil {
		return err
	}
	queue := holdfast.NewQueue[string](store, "durable")
	for n := 0; c.Ctx.Err() == nil; n++ {
		ids, err := queue.PutMany(c.Ctx, strings.SplitAfter(strings.Repeat(strings.Repeat("x", rand.N(3000))+",", 1+n%4), ","))
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := journal.Put(id); err != nil {
				return err
			}
		}
		if n == 0 {
			c.Say("up")
		}
	}
	return nil
}

// Processes are killed while they put: what was answered is there, and the database is sound.
func TestKilledWhilePuttingLosesNothing(t *testing.T) {
	const many = 3
	p := newPlace(t)
	rounds := sized(15, 200)
	for range rounds {
		var putters []*Process
		for range many {
			putters = append(putters, Start(t, "put", p))
		}
		for _, putter := range putters {
			putter.Expect("up")
		}
		for _, putter := range putters {
			<-time.After(rand.N(30 * time.Millisecond)) // any moment is as good
			putter.Kill()
		}
	}
	store := p.open(t)
	answered, err := ReadJournals(p.Dir, "put")
	if err != nil {
		t.Fatal(err)
	}
	there := map[holdfast.ID]bool{}
	for info, err := range holdfast.NewOperator(store, "test").Jobs(t.Context(), holdfast.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		there[info.ID] = true
	}
	for _, a := range answered {
		if !there[a.Job] {
			t.Errorf("job %v was answered by process %d and is lost", a.Job, a.PID)
		}
	}
	counts, err := store.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(counts) != 1 || counts[0].Of(holdfast.Waiting) != int64(len(there)) {
		t.Errorf("counts: %+v, want %d waiting", counts, len(there))
	}
	var verdict string
	if err := store.DB().QueryRowContext(t.Context(), "pragma quick_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("quick_check: %q, %v", verdict, err)
	}
	figures(t, "killed while putting", "kills", rounds*many, "answered", len(answered), "there", len(there))
}
