package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
)

// Whoever tests with this store wants an hour to pass at once. The bubble itself fails a test that leaves a goroutine.
func TestWaitInABubbleEndsWhenAJobIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		defer s.Close()
		job := holdfast.NewJob{ID: holdfast.NewID(), Queue: "q", After: time.Hour}
		if _, err := s.Insert(t.Context(), holdfast.Insert{Jobs: []holdfast.NewJob{job}}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for {
			claimed, err := s.Claim(t.Context(), holdfast.Claim{Queues: []string{"q"}, N: 1, Lease: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			if len(claimed.Jobs) == 1 {
				break
			}
			if _, err := s.Wait(t.Context(), holdfast.Wait{Queues: []string{"q"}, Since: claimed.Tick}); err != nil {
				t.Fatal(err)
			}
		}
		if passed := time.Since(began); passed != time.Hour {
			t.Errorf("taken after %v, want after an hour exactly", passed)
		}
	})
}

func TestWaitInABubbleEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := s.Wait(ctx, holdfast.Wait{Queues: []string{"q"}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the end of the context", err)
		}
	})
}
