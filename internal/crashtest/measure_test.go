//go:build unix

package crashtest

import (
	"slices"
	"syscall"
	"time"
)

// summary is what is said of many durations.
type summary struct{ p50, p99, most time.Duration }

func quantiles(d []time.Duration) summary {
	if len(d) == 0 {
		return summary{}
	}
	d = slices.Sorted(slices.Values(d))
	at := func(q float64) time.Duration { return d[min(int(q*float64(len(d))), len(d)-1)] }
	return summary{at(0.5), at(0.99), d[len(d)-1]}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// cpuTime is what this process has used of the processors so far.
func cpuTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
