package sqlite

import (
	"context"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
)

// A process that is killed between its commit and its ring has told nobody: who waits finds at the next poll what counts
// as news alone, a suspect and a cancel request.
func TestLostRingCostsAPollAndNoJob(t *testing.T) {
	for name, c := range map[string]struct {
		wait  func(holder holdfast.ID) holdfast.Wait
		event func(t *testing.T, s *Store, held holdfast.ID, holder holdfast.ID)
	}{
		"a suspect": {
			func(holdfast.ID) holdfast.Wait { return holdfast.Wait{Queues: []string{"q"}} },
			func(t *testing.T, s *Store, _, holder holdfast.ID) {
				if swept, err := s.Sweep(t.Context(), holdfast.Sweep{Dead: []holdfast.ID{holder}}); err != nil || swept.Returned != 1 {
					t.Fatalf("swept: %+v, %v", swept, err)
				}
			},
		},
		"a cancel request": {
			func(holder holdfast.ID) holdfast.Wait { return holdfast.Wait{Consumer: holder} },
			func(t *testing.T, s *Store, held, _ holdfast.ID) {
				if n, err := holdfast.NewOperator(s, "test").Cancel(t.Context(), holdfast.Filter{IDs: []holdfast.ID{held}}); err != nil || n != 1 {
					t.Fatalf("cancelled %d, %v", n, err)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			job, err := holdfast.NewQueue[int](s, "q").Put(ctx, 1)
			if err != nil {
				t.Fatal(err)
			}
			holder := holdfast.NewID()
			for death := range holdfast.SuspectDeaths {
				if death > 0 {
					if _, err := s.Sweep(ctx, holdfast.Sweep{Dead: []holdfast.ID{holder}}); err != nil {
						t.Fatal(err)
					}
					holder = holdfast.NewID()
				}
				claimed, err := s.Claim(ctx, holdfast.Claim{Consumer: holder, Queues: []string{"q"}, N: 1, Lease: time.Minute})
				if err != nil || len(claimed.Jobs) != 1 {
					t.Fatalf("claimed: %+v, %v", claimed, err)
				}
			}
			c.event(t, s, job, holder)
			wait := c.wait(holder)
			if wait.Since, err = s.tick(); err != nil { // as if the event had rung nothing
				t.Fatal(err)
			}
			woken := make(chan error, 1)
			go func() {
				_, err := s.Wait(ctx, wait)
				woken <- err
			}()
			for {
				select {
				case err := <-woken:
					if err != nil {
						t.Errorf("wait: %v, want to be woken", err)
					}
					return
				default:
					s.watcher.tell(true) // as at each poll
				}
			}
		})
	}
}
