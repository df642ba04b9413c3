package holdfast

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"
)

// No in a field of Config means none, where zero would mean the default.
const No = -1

// Config says how Consume and Maintain work. A zero field is its default.
type Config struct {
	// Name is how pages and logs call this consumer. Default: the host's name and the process id.
	Name string

	// Concurrency is the number of handlers that run at once, over all queues: 1 to 10,000. Default 10.
	Concurrency int

	// Lease is how long a consumer may be silent before its jobs are given to another; heartbeats come every third of
	// it. Default 30 s. Shorter notices a dead machine sooner and writes more often.
	Lease time.Duration

	// Grace is how long running handlers may go on when Consume is told to end, before their context is cancelled; then
	// they have another 5 s. Default 25 s; No: they are cancelled at once.
	Grace time.Duration

	// MaxRun is the longest that one attempt may take, from the start of its handler; a job's own wins. Default 1 h;
	// No: there is no such bound.
	MaxRun time.Duration

	// MaxAttempts is the number of attempts before a job is failed; a job's own wins. Default 20.
	MaxAttempts int

	// MaxCrashes is how often a job may kill its consumer before it is set aside as failed. Default 3; No: no bound.
	MaxCrashes int

	// Backoff gives the pause before the next attempt after so many failed ones (1, 2, …). Default: 1 s, doubled each
	// time, at most 10 min, each ±20 %.
	Backoff func(failures int) time.Duration

	// Pace gives a pause of the slot after each job. Default: none.
	Pace func() time.Duration

	// Poll is how often an idle consumer looks although nobody woke it: the longest that a lost wake-up may delay a job.
	// Default and most: 10 s.
	Poll time.Duration

	// Keep says how long ended jobs are kept, by state: default done and cancelled 7 days, failed 30 days, and at most
	// 1,000,000 jobs of a queue. No: gone at the cleaner's first look after 10 minutes. Forever: kept.
	Keep Retention

	// KeepQueue is Keep for single queues.
	KeepQueue map[string]Retention

	// SweepEvery is the manager's interval, default 5 s but at most a sixth of the lease: a gap of a third between two
	// sweeps counts as an outage, after which leases get more time. PurgeEvery is the cleaner's interval,
	// default 30 s.
	SweepEvery, PurgeEvery time.Duration

	// Finished is called after each outcome is on disk, with the job as it was taken and what came of it; also for DoneIn,
	// when the handler has returned, but not for jobs finished by hand. It must be quick, since reports of other jobs wait
	// for it, and must not panic. Default: none.
	Finished func(job Info, f Finished)

	// Logger hears what happens. Default slog.Default().
	Logger *slog.Logger
}

// Defaults of Config, in one place because the command, the pages and the docs say them too.
const (
	DefaultConcurrency = 10
	DefaultLease       = 30 * time.Second
	DefaultGrace       = 25 * time.Second
	DefaultMaxRun      = time.Hour
	DefaultMaxAttempts = 20
	DefaultMaxCrashes  = 3
	DefaultSweepEvery  = 5 * time.Second
	DefaultPurgeEvery  = 30 * time.Second
	killAfter          = 5 * time.Second // after a cancelled context, before a handler counts as stuck
)

// DefaultRetention is what Config.Keep means when it says nothing.
var DefaultRetention = Retention{Done: 7 * day, Cancelled: 7 * day, Failed: 30 * day, Jobs: 1_000_000}

const day = 24 * time.Hour

// withDefaults fills in what is not said and checks the rest.
func (c Config) withDefaults() (Config, error) {
	bad := func(field string, got any, allowed string) (Config, error) {
		return c, fmt.Errorf("%w: Config.%s is %v, allowed are %s", ErrInvalid, field, got, allowed)
	}
	if c.Name == "" {
		c.Name = fmt.Sprintf("%s:%d", hostName(), os.Getpid())
	}
	c.Concurrency = orDefault(c.Concurrency, DefaultConcurrency)
	c.Lease = orDefault(c.Lease, DefaultLease)
	c.Grace = orDefault(c.Grace, DefaultGrace)
	c.MaxRun = orDefault(c.MaxRun, DefaultMaxRun)
	c.MaxAttempts = orDefault(c.MaxAttempts, DefaultMaxAttempts)
	c.MaxCrashes = orDefault(c.MaxCrashes, DefaultMaxCrashes)
	c.SweepEvery = min(orDefault(c.SweepEvery, DefaultSweepEvery), c.Lease/6)
	c.PurgeEvery = orDefault(c.PurgeEvery, DefaultPurgeEvery)
	c.Poll = orDefault(c.Poll, Poll)
	switch {
	case c.Concurrency < 1 || c.Concurrency > 10_000:
		return bad("Concurrency", c.Concurrency, "1 to 10,000")
	case c.Lease < 100*time.Millisecond || c.Lease > MaxLease:
		return bad("Lease", c.Lease, "100 ms to 24 h")
	case c.MaxAttempts < 1 || c.MaxAttempts > MaxAttemptsBound:
		return bad("MaxAttempts", c.MaxAttempts, "1 to 1,000")
	case c.Grace < No:
		return bad("Grace", c.Grace, "No, or longer than nothing")
	case c.MaxRun < No:
		return bad("MaxRun", c.MaxRun, "No, or longer than nothing")
	case c.MaxCrashes < No:
		return bad("MaxCrashes", c.MaxCrashes, "No, or 1 and more")
	case c.SweepEvery <= 0:
		return bad("SweepEvery", c.SweepEvery, "positive durations")
	case c.Poll < time.Millisecond || c.Poll > Poll:
		return bad("Poll", c.Poll, "1 ms to 10 s")
	case c.PurgeEvery <= 0:
		return bad("PurgeEvery", c.PurgeEvery, "positive durations")
	}
	// From here on none is zero, as the store has it.
	c.Grace, c.MaxRun, c.MaxCrashes = max(c.Grace, 0), max(c.MaxRun, 0), max(c.MaxCrashes, 0)
	c.Keep = c.Keep.withDefaults(DefaultRetention)
	queues := make(map[string]Retention, len(c.KeepQueue))
	for queue, keep := range c.KeepQueue {
		if err := CheckQueueName(queue); err != nil {
			return c, fmt.Errorf("Config.KeepQueue: %w", err)
		}
		queues[queue] = keep.withDefaults(c.Keep)
	}
	c.KeepQueue = queues
	if c.Backoff == nil {
		c.Backoff = DefaultBackoff
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}

// withDefaults gives the retention as a store has it: zero is none.
func (r Retention) withDefaults(def Retention) Retention {
	pick := func(d, def time.Duration) time.Duration {
		if d == 0 {
			return def
		}
		return max(d, 0)
	}
	r.Done, r.Cancelled, r.Failed = pick(r.Done, def.Done), pick(r.Cancelled, def.Cancelled), pick(r.Failed, def.Failed)
	if r.Jobs == 0 {
		r.Jobs = def.Jobs
	}
	r.Jobs = max(r.Jobs, 0)
	return r
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// DefaultBackoff is Config.Backoff when it is not set.
func DefaultBackoff(failures int) time.Duration {
	return Backoff(time.Second, 10*time.Minute)(failures)
}

// Backoff makes a Config.Backoff: least, doubled at each failure, at most most, each ±20 % so that jobs which failed
// together do not come back together.
func Backoff(least, most time.Duration) func(failures int) time.Duration {
	return func(failures int) time.Duration {
		d := least
		for i := 1; i < failures && d < most; i++ {
			d *= 2
		}
		d = min(d, most)
		return d + time.Duration((rand.Float64()*0.4-0.2)*float64(d))
	}
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}
