package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
)

func (a *app) queuesCommand() *cobra.Command {
	var f format
	cmd := &cobra.Command{
		Use:        "queues",
		Short:      "queues: how many jobs in each state, how old, paused",
		SuggestFor: []string{"depth", "counts", "queue"},
		Long:       `Shows for each queue how many jobs are in each state, how long its oldest waiting job has been due, and who paused it.`,
		Example: `  holdfast queues
  holdfast queues --jsonl | jq -r 'select(.waiting > 1000) | .queue'`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.queues(cmd.Context(), f) },
	}
	f.flags(cmd)
	return cmd
}

func (a *app) queues(ctx context.Context, f format) error {
	s, err := a.existing(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	counts, err := s.Counts(ctx)
	if err != nil {
		return err
	}
	if f.machine() {
		views := make([]queueView, len(counts))
		for i, c := range counts {
			views[i] = viewQueue(c)
		}
		return list(a, f, "queues", views)
	}
	if len(counts) == 0 {
		a.say("no queues yet: the first put makes one")
		return nil
	}
	now := time.Now()
	t := &table{head: []string{"queue", ">○ waiting", ">oldest", ">◔ scheduled", ">◐ running", ">● done", ">✕ failed", ">⊘ cancelled", "paused"}}
	for _, c := range counts {
		oldest, paused := "–", ""
		if !c.Oldest.IsZero() {
			oldest = figure(now.Sub(c.Oldest))
		}
		if !c.PausedAt.IsZero() {
			paused = fmt.Sprintf("‖ by %s, %s", clean(c.PausedBy), age(c.PausedAt, now))
		}
		n := func(s holdfast.State) string { return strconv.FormatInt(c.Of(s), 10) }
		t.add(clean(c.Queue), n(holdfast.Waiting), oldest, n(holdfast.Scheduled), n(holdfast.Running), n(holdfast.Done), n(holdfast.Failed), n(holdfast.Cancelled), paused)
		if c.Of(holdfast.Failed) > 0 {
			t.tint(6, "31")
		}
	}
	return t.write(a.out, a.color)
}

func (a *app) statsCommand() *cobra.Command {
	var f format
	since := duration(time.Hour)
	cmd := &cobra.Command{
		Use:        "stats [QUEUE]",
		Short:      "pace and percentiles of a queue, or of each",
		SuggestFor: []string{"figures", "metrics"},
		Long: `Shows how many jobs were made, started and done, how many attempts failed, and how long jobs waited (from due until
their start) and took (p50: half of them took less). The figures are kept by the minute and outlive the jobs.`,
		Example: `  holdfast stats
  holdfast stats files --since 24h --json`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.stats(cmd.Context(), slices.Concat(args, []string{""})[0], time.Duration(since), f)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().Var(&since, "since", "over so long until now, in whole minutes")
	f.flags(cmd)
	return cmd
}

func (a *app) stats(ctx context.Context, queue string, since time.Duration, f format) error {
	if queue != "" {
		if err := holdfast.CheckQueueName(queue); err != nil {
			return err
		}
	}
	if since <= 0 {
		return usagef("--since must be longer than nothing")
	}
	s, err := a.existing(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	from := time.Now().Add(-since).Truncate(time.Minute)
	rollups, err := s.Stats(ctx, holdfast.StatsQuery{Queue: queue, Since: from, Step: max(since.Truncate(time.Minute), time.Minute)})
	if err != nil {
		return err
	}
	sums := sumByQueue(rollups)
	if f.machine() {
		views := make([]statsView, len(sums))
		for i, r := range sums {
			views[i] = statsView{
				Queue: r.Queue, Since: stamp(from), Made: r.Made, Started: r.Started, Done: r.Done, Failed: r.Failed, Ended: r.Ended,
				Returned: r.Returned, Waited: viewQuantiles(r.Waited), Took: viewQuantiles(r.Took),
			}
		}
		return list(a, f, "queues", views)
	}
	if len(sums) == 0 {
		a.say("nothing happened in the last %s; look further back with --since 24h", span(since))
		return nil
	}
	t := &table{head: []string{"queue", ">made", ">started", ">done", ">attempts failed", ">waited p50", ">p95", ">p99", ">took p50", ">p95", ">p99"}}
	for _, r := range sums {
		n := func(n int64) string { return strconv.FormatInt(n, 10) }
		q := func(h holdfast.Histogram, part float64) string {
			if h.Count() == 0 {
				return "–"
			}
			return span(h.Quantile(part))
		}
		t.add(clean(r.Queue), n(r.Made), n(r.Started), n(r.Done), n(r.Failed), q(r.Waited, .5), q(r.Waited, .95), q(r.Waited, .99), q(r.Took, .5), q(r.Took, .95), q(r.Took, .99))
	}
	return t.write(a.out, a.color)
}

// sumByQueue adds up the steps of each queue, in the order of the queues.
func sumByQueue(steps []holdfast.Rollup) []holdfast.Rollup {
	var sums []holdfast.Rollup
	for _, r := range steps {
		if n := len(sums); n == 0 || sums[n-1].Queue != r.Queue {
			sums = append(sums, holdfast.Rollup{Queue: r.Queue, At: r.At})
		}
		sum := &sums[len(sums)-1]
		sum.Made += r.Made
		sum.Started += r.Started
		sum.Done += r.Done
		sum.Failed += r.Failed
		sum.Ended += r.Ended
		sum.Returned += r.Returned
		sum.Waited.Merge(r.Waited)
		sum.Took.Merge(r.Took)
	}
	return sums
}

// noQueue says so if a queue that somebody named does not exist, and which do; "" if all exist or nobody knows.
func noQueue(ctx context.Context, s holdfast.Store, named []string) string {
	counts, err := s.Counts(ctx)
	if err != nil {
		return ""
	}
	var there []string
	for _, c := range counts {
		there = append(there, c.Queue)
	}
	for _, q := range named {
		switch {
		case slices.Contains(there, q):
		case len(there) == 0:
			return fmt.Sprintf("there is no queue %s, nor any other yet: the first put makes one", q)
		case len(there) > 10:
			return fmt.Sprintf("there is no queue %s; there are: %s and %d more", q, strings.Join(there[:10], ", "), len(there)-10)
		default:
			return fmt.Sprintf("there is no queue %s; there are: %s", q, strings.Join(there, ", "))
		}
	}
	return ""
}

// orElse gives the first text that says something.
func orElse(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
