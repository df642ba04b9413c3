//go:build unix

package sqlite

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
)

// BenchmarkLives puts, claims and finishes jobs in batches of 1,000; history is kept.
func BenchmarkLives(b *testing.B) {
	ctx := context.Background()
	s, err := Open(ctx, b.TempDir()+"/jobs.db")
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const batch = 1000
	consumer := holdfast.NewID()
	var put, claim, finish time.Duration
	cpu := cpuTime()
	b.ResetTimer()
	for i := range b.N {
		jobs := newJobs(batch)
		began := cpuTime()
		if _, err := s.Insert(ctx, holdfast.Insert{Jobs: jobs}); err != nil {
			b.Fatal(err)
		}
		put += cpuTime() - began
		began = cpuTime()
		claimed, err := s.Claim(ctx, holdfast.Claim{Consumer: consumer, Number: int64(i + 1), Queues: []string{"bench"}, N: batch, Lease: time.Minute})
		if err != nil || len(claimed.Jobs) != batch {
			b.Fatal(err, len(claimed.Jobs))
		}
		claim += cpuTime() - began
		began = cpuTime()
		outcomes := make([]holdfast.Outcome, batch)
		for k, d := range claimed.Jobs {
			outcomes[k] = holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone, Took: time.Millisecond}
		}
		if _, err := s.Finish(ctx, outcomes); err != nil {
			b.Fatal(err)
		}
		finish += cpuTime() - began
	}
	n := float64(b.N * batch)
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/n, "cpu-µs/life")
	b.ReportMetric(n/b.Elapsed().Seconds(), "lives/s")
	b.ReportMetric(float64(put.Microseconds())/n, "cpu-µs/put")
	b.ReportMetric(float64(claim.Microseconds())/n, "cpu-µs/claim")
	b.ReportMetric(float64(finish.Microseconds())/n, "cpu-µs/finish")
}

// cpuTime is what the process has used of the processors: on a machine that others use too it says more than the clock.
func cpuTime() time.Duration {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkPutSingle has callers put one job each, all at once.
func BenchmarkPutSingle(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("%d callers", callers), func(b *testing.B) {
			ctx := context.Background()
			s, err := Open(ctx, b.TempDir()+"/jobs.db")
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			var wg sync.WaitGroup
			b.ResetTimer()
			for range callers {
				wg.Go(func() {
					for range max(b.N/callers, 1) {
						if _, err := s.Insert(ctx, holdfast.Insert{Jobs: newJobs(1)}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
		})
	}
}
