package holdfast

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// How much one step of manager and cleaner may touch, so that no claim waits long for it.
const (
	sweepStep = 1_000
	purgeStep = 500
)

// Maintain runs manager and cleaner alone until ctx ends: the manager gives the jobs of dead consumers to others and
// makes scheduled jobs due, the cleaner removes what Keep says. Consume does the same beside its work; any number of
// processes may. It returns nil when ctx has ended, or ErrInvalid, ErrClosed, ErrUnusable, ErrCorrupt.
func Maintain(ctx context.Context, s Store, c Config) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	return maintain(ctx, s, c)
}

func maintain(ctx context.Context, s Store, c Config) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var loops sync.WaitGroup
	loops.Go(func() { cancel(every(ctx, c, "manager", c.SweepEvery, func() error { return sweepAll(ctx, s, c) })) })
	loops.Go(func() { cancel(every(ctx, c, "cleaner", c.PurgeEvery, func() error { return purgeAll(ctx, s, c) })) })
	loops.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// every calls look at its interval, the first time within one interval, so that many processes do not look at once.
// It ends with ctx, or with an error that no waiting mends.
func every(ctx context.Context, c Config, who string, interval time.Duration, look func() error) error {
	for pause := rand.N(interval); sleep(ctx, pause) == nil; pause = interval {
		err := look()
		if err == nil || ctx.Err() != nil {
			continue
		}
		if errors.Is(err, ErrClosed) || errors.Is(err, ErrUnusable) || errors.Is(err, ErrCorrupt) {
			return err
		}
		c.Logger.Warn(who, "error", err)
	}
	return ctx.Err()
}

func sweepAll(ctx context.Context, s Store, c Config) error {
	step := Sweep{Every: c.SweepEvery - c.SweepEvery/10, Lease: c.Lease, MaxCrashes: c.MaxCrashes, Limit: sweepStep}
	for {
		swept, err := s.Sweep(ctx, step)
		if err != nil {
			return err
		}
		if swept.Returned+swept.SetAside+swept.Cancelled > 0 || swept.Graced {
			c.Logger.Info("manager", "returned", swept.Returned, "set_aside", swept.SetAside, "cancelled", swept.Cancelled, "graced", swept.Graced)
		}
		if !swept.More {
			return nil
		}
		step.Every = 0
	}
}

func purgeAll(ctx context.Context, s Store, c Config) error {
	total := 0
	for {
		purged, err := s.Purge(ctx, Purge{Keep: c.Keep, Queues: c.KeepQueue, Limit: purgeStep})
		if err != nil {
			return err
		}
		total += purged.Jobs
		if !purged.More || ctx.Err() != nil {
			break
		}
	}
	if total > 0 {
		c.Logger.Info("cleaner", "removed", total)
	}
	return nil
}
