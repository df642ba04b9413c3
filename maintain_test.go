package holdfast_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
)

// One manager alone looks often enough: its own interval is never the gap after which leases get more time.
func TestMaintainEndsShortLeases(t *testing.T) {
	for _, lease := range []time.Duration{time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			store := memory.New()
			ctx, cancel := context.WithCancel(t.Context())
			id := holdfast.NewID()
			if _, err := store.Insert(ctx, holdfast.Insert{Jobs: []holdfast.NewJob{{ID: id, Queue: "q"}}}); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Claim(ctx, holdfast.Claim{Consumer: holdfast.NewID(), Queues: []string{"q"}, N: 1, Lease: lease}); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- holdfast.Maintain(ctx, store, holdfast.Config{Lease: lease}) }()
			<-time.After(3 * lease)
			if info, _, err := store.Show(ctx, id); err != nil || info.State != holdfast.Waiting {
				t.Errorf("lease of %v, 3 leases later: %v, %v; want waiting", lease, info.State, err)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
