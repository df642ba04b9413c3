package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/config"
)

func (a *app) getCommand() *cobra.Command {
	lease, wait := duration(config.Defaults().Consumer.NTime), duration(0)
	var f format // it is JSON anyway
	cmd := &cobra.Command{
		Use:        "get QUEUE",
		Short:      "take a job: prints its lease and its data as JSON",
		SuggestFor: []string{"take", "pop", "fetch", "claim", "reserve", "receive", "dequeue", "next"},
		Long: `Takes the next job of a queue and prints it in one line of JSON: lease, fence, id, attempt, failures, data. Until the lease ends
the job is yours: report with done, fail or release, or hold it longer with extend. There is no heartbeat: when the lease
has ended, another may get the job. The fence goes up with each delivery; keep it with what you write elsewhere and
refuse smaller ones there. Without --lease it lasts for consumer.n_time of the config file.

Exit code 3: there is nothing to take. With --wait: 4, there was nothing to take for so long. A worker in shell, until
one of these, or trouble, ends it; done and fail end with 6 if the lease is lost by then, and change nothing:

  while job=$(holdfast get greet --wait 30s); do
    if printf '%s\n' "$job" | ./greet.sh
    then holdfast done "$job"
    else holdfast fail "$job" --cause "exit code $?"
    fi
  done

consume does this and more: heartbeats, time limits, files, clean ends.`,
		Example: `  holdfast get greet > job
  holdfast get greet --lease 10m --wait 30s`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.leaseOf(cmd, &lease); err != nil {
				return err
			}
			return a.get(cmd.Context(), args[0], time.Duration(lease), time.Duration(wait))
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().Var(&lease, "lease", "hold it so long: 1s to 24h")
	cmd.Flags().Var(&wait, "wait", "wait so long for a job")
	f.flags(cmd)
	return cmd
}

// leaseOf gives the lease that the command's flag did not: an attempt's time, within what a lease may be.
func (a *app) leaseOf(cmd *cobra.Command, lease *duration) error {
	c, err := a.config()
	if err == nil && !cmd.Flags().Changed("lease") {
		*lease = duration(min(max(c.Consumer.NTime, holdfast.MinLease), holdfast.MaxLease))
	}
	return err
}

func checkLease(d time.Duration) error {
	if d < holdfast.MinLease || d > holdfast.MaxLease {
		return usagef("--lease is %s; allowed are 1s to 24h", config.FormatDuration(d))
	}
	return nil
}

func (a *app) get(ctx context.Context, queue string, lease, wait time.Duration) error {
	if err := holdfast.CheckQueueName(queue); err != nil {
		return err
	}
	if err := checkLease(lease); err != nil {
		return err
	}
	s, err := a.existing(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	me, err := a.enlist(ctx, s, queue)
	if err != nil {
		return err
	}
	claim := holdfast.Claim{Consumer: me, Queues: []string{queue}, N: 1, Lease: lease, Suspects: 1, Unattended: true}
	d, err := a.take(ctx, s, claim, wait)
	if err != nil {
		return err
	}
	view := takenView{
		Lease: d.Lease.String(), Fence: d.Lease.Fence, ID: d.Info.ID.String(), Queue: d.Info.Queue, Attempt: d.Info.Attempt,
		Failures: d.Info.Failures, MaxAttempts: a.attemptsOf(&d.Info), LeaseUntil: stamp(d.Info.LeaseUntil),
	}
	view.Data, view.DataText, view.DataBase64 = payload(d.Info.Data)
	if err := a.one(view); err != nil {
		// Nobody has seen it: it must not stay held for an hour.
		_, _ = s.Finish(context.WithoutCancel(ctx), []holdfast.Outcome{{Lease: d.Lease, Kind: holdfast.OutcomeReleased, Unrun: true}})
		return fmt.Errorf("print the job (it was given back): %w", err)
	}
	a.say("yours until %s (%s): done, fail, release or extend %s", moment(d.Info.LeaseUntil, time.Now()), span(lease), d.Lease)
	return nil
}

// take claims one job, waiting for one if it is asked to.
func (a *app) take(ctx context.Context, s holdfast.Store, claim holdfast.Claim, wait time.Duration) (holdfast.Delivery, error) {
	queue := claim.Queues[0]
	until := time.Now().Add(wait)
	for {
		if ctx.Err() != nil {
			return holdfast.Delivery{}, ctx.Err()
		}
		// Perhaps nobody else looks after ended leases here, and a queue that never runs empty would keep them for ever.
		sweep := holdfast.Sweep{Every: time.Second, Lease: a.settings.Consumer.Lease, MaxCrashes: a.settings.Consumer.NCrashes, Limit: 1000}
		if _, err := s.Sweep(ctx, sweep); err != nil {
			return holdfast.Delivery{}, fmt.Errorf("get from queue %s: %w", queue, err)
		}
		// A claim is not interrupted: it could have taken a job of which nobody hears.
		got, err := s.Claim(context.WithoutCancel(ctx), claim)
		if err != nil {
			return holdfast.Delivery{}, fmt.Errorf("get from queue %s: %w", queue, err)
		}
		if len(got.Jobs) > 0 {
			return got.Jobs[0], nil
		}
		left := time.Until(until)
		if left <= 0 {
			return holdfast.Delivery{}, nothing(ctx, s, queue, wait)
		}
		look, cancel := context.WithTimeout(ctx, min(left, time.Second))
		_, err = s.Wait(look, holdfast.Wait{Queues: claim.Queues, Since: got.Tick})
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return holdfast.Delivery{}, fmt.Errorf("get from queue %s: %w", queue, err)
		}
	}
}

// nothing says why there is nothing to take, as far as a count can tell.
func nothing(ctx context.Context, s holdfast.Store, queue string, wait time.Duration) error {
	kind, text := holdfast.ErrEmpty, "nothing to take from queue "+queue
	if wait > 0 {
		kind, text = holdfast.ErrTimedOut, fmt.Sprintf("nothing to take from queue %s within %s", queue, span(wait))
	}
	counts, err := s.Counts(ctx)
	if err != nil {
		return &remedy{kind, text}
	}
	if none := noQueue(ctx, s, []string{queue}); none != "" {
		return &remedy{kind, none}
	}
	for _, c := range counts {
		switch {
		case c.Queue != queue:
		case !c.PausedAt.IsZero():
			text += fmt.Sprintf(": it is paused by %s; holdfast resume %s", clean(c.PausedBy), queue)
		case c.Of(holdfast.Running)+c.Of(holdfast.Scheduled) > 0:
			text += fmt.Sprintf(": %d running, %d scheduled for later", c.Of(holdfast.Running), c.Of(holdfast.Scheduled))
		}
	}
	return &remedy{kind, text}
}

// enlist makes the person at this machine known as a consumer behind which no process stands, so that attempts show the
// host. It writes only if the last time was a while ago.
func (a *app) enlist(ctx context.Context, s holdfast.Store, queue string) (holdfast.ID, error) {
	name := a.actor()
	sum := sha256.Sum256([]byte("holdfast get\x00" + name))
	id := holdfast.ID(sum[:16])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // a UUID of version 8: made of a hash
	known, err := s.Records(ctx, holdfast.RecordsQuery{Consumer: id})
	if err != nil {
		return id, err
	}
	for _, c := range known.Consumers {
		if c.ID == id && c.Version == holdfast.Version() && time.Since(c.SeenAt) < time.Hour {
			return id, nil
		}
	}
	return id, s.Record(context.WithoutCancel(ctx), holdfast.Records{Consumers: []holdfast.Consumer{{
		ID: id, Name: name, Host: host(), Version: holdfast.Version(), Queues: []string{queue}, MaxCrashes: a.settings.Consumer.NCrashes, Unattended: true,
	}}})
}

// attemptsOf is how many attempts a job has: its own word, or the config's.
func (a *app) attemptsOf(i *holdfast.Info) int {
	if i.MaxAttempts > 0 {
		return i.MaxAttempts
	}
	return a.settings.Consumer.NTries
}
