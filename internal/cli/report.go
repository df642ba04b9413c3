package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/config"
)

func (a *app) doneCommand() *cobra.Command {
	var f format
	var result string
	cmd := &cobra.Command{
		Use:        "done LEASE|-",
		Short:      "the job is finished",
		SuggestFor: []string{"ack", "complete", "finish", "update", "success", "succeed"},
		Long: `Says that the job taken under this lease is processed, and keeps a result with it if there is one. Repeating it is
harmless. LEASE is the lease alone, or the whole line that get printed; with - it is read from stdin. Exit code 6: the
lease is lost; nothing was changed, and it says who has the job now or what became of it.`,
		Example: `  holdfast done "$lease"
  holdfast done "$(holdfast get greet)"
  holdfast done - < job
  holdfast done "$lease" --result '{"pages":2}'
  make-summary | holdfast done "$lease" --result -`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := holdfast.Outcome{Kind: holdfast.OutcomeDone}
			if cmd.Flags().Changed("result") {
				if args[0] == "-" && result == "-" {
					return usagef("the lease and the result cannot both come from stdin")
				}
				var err error
				if o.Result, err = a.result(cmd.Context(), result); err != nil {
					return err
				}
			}
			return a.report(cmd.Context(), args[0], o, f)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&result, "result", "", "a `JSON` value to keep with the job; - reads it from stdin")
	f.flags(cmd)
	return cmd
}

// result reads the value of --result.
func (a *app) result(ctx context.Context, text string) ([]byte, error) {
	if text == "-" {
		var err error
		if text, err = a.stdin(ctx); err != nil {
			return nil, err
		}
	}
	b, err := checkJSON("", text, `--result '"…"'`)
	if err != nil {
		return nil, &remedy{err, "--result is " + err.Error()}
	}
	if len(b) > holdfast.MaxDataBytes {
		return nil, fmt.Errorf("%w: the result has %d bytes, at most %d are allowed", holdfast.ErrTooLarge, len(b), holdfast.MaxDataBytes)
	}
	return b, nil
}

func (a *app) failCommand() *cobra.Command {
	var f format
	var cause string
	var final bool
	cmd := &cobra.Command{
		Use:        "fail LEASE|-",
		Short:      "this attempt failed; says what comes of it",
		SuggestFor: []string{"nack", "reject", "error"},
		Long: `Says that this attempt failed, and answers what comes of the job: another attempt after a pause (1 s, doubled each
time, at most 10 min: consumer.backoff), or failed for good at its last failure (the third: consumer.n_tries; or as its
put said) or with --final. Attempts that were given back are no failures. A failed job stays until somebody retries or deletes it, or the cleaner's time for it is over.`,
		Example: `  holdfast fail "$lease" --cause "no such customer"
  holdfast fail "$lease" --final --cause "not a picture"`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cause == "" {
				cause = "failed by " + a.actor()
			}
			return a.report(cmd.Context(), args[0], holdfast.Outcome{
				Kind: holdfast.OutcomeFailed, Error: bounded(cause, holdfast.MaxErrorBytes), Final: final,
			}, f)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&cause, "cause", "", "why, in `TEXT` for people")
	cmd.Flags().BoolVar(&final, "final", false, "failed for good, whatever attempts are left")
	f.flags(cmd)
	return cmd
}

func (a *app) releaseCommand() *cobra.Command {
	var f format
	var after duration
	cmd := &cobra.Command{
		Use:        "release LEASE|-",
		Short:      "give the job back, no attempt spent",
		SuggestFor: []string{"return", "snooze", "requeue", "giveback"},
		Long:       `Gives the job back: it waits again, at once or after so long. This costs no attempt.`,
		Example: `  holdfast release "$lease"
  holdfast release "$lease" --after 5m`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if time.Duration(after) > holdfast.MaxDelay {
				return usagef("--after is %s; at most ten years are allowed", config.FormatDuration(time.Duration(after)))
			}
			return a.report(cmd.Context(), args[0], holdfast.Outcome{Kind: holdfast.OutcomeReleased, After: time.Duration(after)}, f)
		},
	}
	cmd.Flags().Var(&after, "after", "not before so long from now")
	f.flags(cmd)
	return cmd
}

func (a *app) extendCommand() *cobra.Command {
	var f format
	lease := duration(config.Defaults().Consumer.NTime)
	cmd := &cobra.Command{
		Use:        "extend LEASE|-",
		Short:      "hold the job longer",
		SuggestFor: []string{"touch", "renew", "heartbeat", "hold"},
		Long:       `Moves the end of the lease to so long from now. It says if somebody wants the job cancelled: then let go of it.`,
		Example: `  holdfast extend "$lease"
  holdfast extend "$lease" --lease 10m`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.leaseOf(cmd, &lease); err != nil {
				return err
			}
			return a.extend(cmd.Context(), args[0], time.Duration(lease), f)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().Var(&lease, "lease", "hold it so long from now: 1s to 24h")
	f.flags(cmd)
	return cmd
}

// held opens the store for the holder of a lease and shows its job. Its error says what became of the job, if there is
// no such delivery any more.
func (a *app) held(ctx context.Context, word string) (holdfast.Store, holdfast.Lease, holdfast.Info, error) {
	lease, err := a.lease(ctx, word)
	if err != nil {
		return nil, lease, holdfast.Info{}, err
	}
	s, err := a.existing(ctx)
	if err != nil {
		return nil, lease, holdfast.Info{}, err
	}
	info, _, err := s.Show(ctx, lease.Job)
	if errors.Is(err, holdfast.ErrNotFound) {
		err = &remedy{holdfast.ErrLeaseLost, fmt.Sprintf("lease lost: there is no job %s; it was deleted, or removed by the cleaner", lease.Job)}
	}
	if err != nil {
		s.Close()
		return nil, lease, info, err
	}
	return s, lease, info, nil
}

// lease reads a lease: the word, or the line that get printed; with - either of them on stdin.
func (a *app) lease(ctx context.Context, word string) (holdfast.Lease, error) {
	from := "the lease"
	if word == "-" {
		text, err := a.stdin(ctx)
		if err != nil {
			return holdfast.Lease{}, err
		}
		from, word = "stdin", text
	}
	if word = strings.TrimSpace(word); word == "" {
		return holdfast.Lease{}, usagef("%s was empty; did get find a job? (exit code 3)", from)
	}
	var taken takenView
	if json.Unmarshal([]byte(word), &taken) == nil && taken.Lease != "" {
		word = taken.Lease
	}
	lease, err := holdfast.ParseLease(word)
	if _, idErr := holdfast.ParseID(word); err != nil && idErr == nil {
		return lease, usagef("%s is the job's id; a lease has _N after it, as get printed it", word)
	}
	return lease, err
}

// report finishes a delivery and says what came of it.
func (a *app) report(ctx context.Context, word string, o holdfast.Outcome, f format) error {
	s, lease, info, err := a.held(ctx, word)
	if err != nil {
		return err
	}
	defer s.Close()
	o.Lease = lease
	if o.Kind == holdfast.OutcomeFailed {
		c := a.settings.Consumer
		o.After, o.MaxAttempts = holdfast.Backoff(c.Backoff.Least, c.Backoff.Most)(info.Failures+1), c.NTries
	}
	finished, err := s.Finish(context.WithoutCancel(ctx), []holdfast.Outcome{o})
	if err == nil {
		err = finished[0].Err
	}
	switch {
	case errors.Is(err, holdfast.ErrLeaseLost):
		return &remedy{err, a.whoHas(ctx, s, lease)}
	case errors.Is(err, holdfast.ErrUnknown):
		return &remedy{err, fmt.Sprintf("it is not known whether job %s got this report; repeat the command, it counts once", lease.Job)}
	case err != nil:
		return fmt.Errorf("job %s: %w", lease.Job, err)
	}
	// The job as it is now, for its numbers; it may be gone or taken again already.
	if now, _, err := s.Show(ctx, lease.Job); err == nil && now.Fence == lease.Fence {
		info = now
	}
	if f.machine() {
		return a.one(outcomeView{
			ID: lease.Job.String(), State: finished[0].State.String(), Why: string(finished[0].Why), Attempt: info.Attempt,
			Failures: info.Failures, MaxAttempts: a.attemptsOf(&info), RunAt: stamp(finished[0].RunAt),
		})
	}
	return a.print("%s", whatCame(&info, a.attemptsOf(&info), finished[0], time.Now()))
}

// whatCame says what came of a report.
func whatCame(info *holdfast.Info, attempts int, f holdfast.Finished, now time.Time) string {
	failure := fmt.Sprintf("failure %d of %d", info.Failures, attempts)
	switch {
	case f.State == holdfast.Done:
		return "done"
	case f.State == holdfast.Failed && f.Why == holdfast.ReasonPermanent:
		return "failed for good"
	case f.State == holdfast.Failed:
		return "failed for good, " + failure
	case f.State == holdfast.Cancelled:
		return "cancelled: somebody had asked for it"
	case f.Why == holdfast.ReasonRetry && f.RunAt.After(now):
		return fmt.Sprintf("retry in %s, %s", span(f.RunAt.Sub(now).Round(time.Second/10)), failure)
	case f.Why == holdfast.ReasonRetry:
		return "retry now, " + failure
	case f.Why == holdfast.ReasonReleased && f.RunAt.After(now):
		return "given back, due in " + span(f.RunAt.Sub(now).Round(time.Second/10))
	case f.Why == holdfast.ReasonReleased:
		return "given back"
	}
	return strings.TrimSpace(f.State.String() + " " + string(f.Why))
}

func (a *app) extend(ctx context.Context, word string, d time.Duration, f format) error {
	if err := checkLease(d); err != nil {
		return err
	}
	s, lease, info, err := a.held(ctx, word)
	if err != nil {
		return err
	}
	defer s.Close()
	beat := holdfast.Beat{Lease: lease, For: d, Progress: info.Progress, Note: info.Note}
	beaten, err := s.Extend(context.WithoutCancel(ctx), []holdfast.Beat{beat})
	if err == nil {
		err = beaten[0].Err
	}
	if errors.Is(err, holdfast.ErrLeaseLost) {
		return &remedy{err, a.whoHas(ctx, s, lease)}
	}
	if err != nil {
		return fmt.Errorf("job %s: %w", lease.Job, err)
	}
	until := time.Now().Add(d)
	if now, _, err := s.Show(ctx, lease.Job); err == nil && now.Fence == lease.Fence && !now.LeaseUntil.IsZero() {
		info, until = now, now.LeaseUntil
	}
	if beaten[0].CancelRequested {
		a.say("somebody wants this job cancelled: stop, and use release or fail %s", lease)
	}
	if f.machine() {
		return a.one(outcomeView{
			ID: lease.Job.String(), State: holdfast.Running.String(), Attempt: info.Attempt, Failures: info.Failures,
			MaxAttempts: a.attemptsOf(&info), LeaseUntil: stamp(until), CancelRequested: beaten[0].CancelRequested,
		})
	}
	return a.print("yours until %s (%s)", moment(until, time.Now()), span(d))
}

// whoHas says who has the job of a lost lease now, or what became of it.
func (a *app) whoHas(ctx context.Context, s holdfast.Store, lease holdfast.Lease) string {
	info, attempts, err := s.Show(ctx, lease.Job)
	if errors.Is(err, holdfast.ErrNotFound) {
		return fmt.Sprintf("lease lost: there is no job %s any more", lease.Job)
	}
	if err != nil {
		return "lease lost: nothing was changed"
	}
	now := time.Now()
	ended := "" // when, if it was the lease's end that lost it
	for i := range attempts {
		// Deliveries that never started have no attempt: then the number is another's, and so is its outcome, mostly.
		if at := &attempts[i]; int64(info.Attempt-at.N) == info.Fence-lease.Fence && at.Outcome == holdfast.OutcomeLost {
			ended = fmt.Sprintf("; it had ended by %s: use get --lease, or extend", moment(at.EndedAt, now))
		}
	}
	switch {
	case lease.Fence > info.Fence:
		return fmt.Sprintf("lease lost: job %s has been delivered %d times only; use the lease that get printed", lease.Job, info.Fence)
	case info.State == holdfast.Running:
		return fmt.Sprintf("lease lost: %s has the job since %s, attempt %d%s", a.consumerName(ctx, s, &info, attempts), moment(info.StartedAt, now), info.Attempt, ended)
	case info.State.Ended():
		return fmt.Sprintf("lease lost: the job is %s since %s%s%s", info.State, moment(info.EndedAt, now), because(&info), ended)
	case info.RunAt.After(now):
		return fmt.Sprintf("lease lost: the job is %s%s, due %s%s", info.State, because(&info), age(info.RunAt, now), ended)
	}
	return fmt.Sprintf("lease lost: the job is %s%s%s", info.State, because(&info), ended)
}

// because gives the reason in brackets, if there is one.
func because(i *holdfast.Info) string {
	if i.Why == holdfast.ReasonNone {
		return ""
	}
	return " (" + clean(string(i.Why)) + ")"
}

// consumerName says who has the latest attempt of a job.
func (a *app) consumerName(ctx context.Context, s holdfast.Store, info *holdfast.Info, attempts []holdfast.Attempt) string {
	if !info.Consumer.IsZero() {
		if r, err := s.Records(ctx, holdfast.RecordsQuery{Consumer: info.Consumer}); err == nil {
			for _, c := range r.Consumers {
				if c.ID == info.Consumer && c.Name != "" {
					return clean(c.Name)
				}
			}
		}
	}
	if n := len(attempts); n > 0 && attempts[n-1].Host != "" {
		return "a consumer on " + clean(attempts[n-1].Host)
	}
	return "another"
}

// bounded cuts a text to most bytes, at a character's edge.
func bounded(s string, most int) string {
	if len(s) <= most {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.ToValidUTF8(s[:most-3], "") + "…"
}
