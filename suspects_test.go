package holdfast_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
)

// Suspects are taken one at a time, and each end of one is a reason to look for the next: nothing else announces it.
func TestConsumeTakesOneSuspectAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		queue := holdfast.NewQueue[int](store, "q")
		ctx, cancel := context.WithCancel(t.Context())
		const jobs = 5
		if _, err := queue.PutMany(ctx, make([]int, jobs)); err != nil {
			t.Fatal(err)
		}
		for range holdfast.SuspectDeaths {
			id := holdfast.NewID()
			if _, err := store.Claim(ctx, holdfast.Claim{Consumer: id, Queues: []string{"q"}, N: jobs, Lease: time.Minute, Suspects: jobs}); err != nil {
				t.Fatal(err)
			}
			if swept, err := store.Sweep(ctx, holdfast.Sweep{Dead: []holdfast.ID{id}}); err != nil || swept.Returned != jobs {
				t.Fatalf("swept: %+v, %v", swept, err)
			}
		}
		ended, running, most := make(chan error, 1), 0, 0
		go func() {
			ended <- holdfast.Consume(ctx, holdfast.Config{}, queue.Handle(func(context.Context, *holdfast.Job[int]) error {
				running++
				most = max(most, running)
				<-time.After(10 * time.Millisecond)
				running--
				return nil
			}))
		}()
		<-time.After(time.Second)
		counts, err := store.Counts(ctx)
		if err != nil || counts[0].Of(holdfast.Done) != jobs {
			t.Errorf("counts: %+v, %v; want %d done", counts, err, jobs)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if most != 1 {
			t.Errorf("%d suspects ran at once, want one", most)
		}
	})
}
