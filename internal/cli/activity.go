package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
)

const activityLimit = 50 // lines that activity shows when nobody says how many

func (a *app) activityCommand() *cobra.Command {
	var f format
	limit := activityLimit
	cmd := &cobra.Command{
		Use:        "activity",
		Short:      "who did what: retries, cancels, deletes, pauses",
		SuggestFor: []string{"audit", "history", "log", "events", "who"},
		Long: `Shows what people have done to jobs and queues, the latest first: retry, cancel, delete, run-now, pause and resume, with
who, from where, which jobs were meant and how many were changed. The last 10,000 lines are kept.`,
		Example: `  holdfast activity
  holdfast activity --limit 1000 --jsonl | jq -r 'select(.action == "delete") | .actor'`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.activity(cmd.Context(), limit, f) },
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().IntVar(&limit, "limit", limit, "at most so many lines: 1 to 10000")
	f.flags(cmd)
	return cmd
}

func (a *app) activity(ctx context.Context, limit int, f format) error {
	if limit < 1 || limit > 10_000 {
		return usagef("--limit is %d; allowed are 1 to 10000", limit)
	}
	s, err := a.existing(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	r, err := s.Records(ctx, holdfast.RecordsQuery{Activity: limit})
	if err != nil {
		return err
	}
	if f.machine() {
		var views []activityView
		for _, l := range r.Activity {
			views = append(views, activityView{
				ID: l.ID.String(), At: stamp(l.At), Actor: l.Actor, Via: l.Via, Action: string(l.Action), What: l.What, Changed: l.Changed, Skipped: l.Skipped,
			})
		}
		return list(a, f, "activity", views)
	}
	if len(r.Activity) == 0 {
		a.say("nobody has done anything to jobs or queues yet")
		return nil
	}
	now := time.Now()
	t := &table{head: []string{"when", "who", "what", "of", ">changed", ">skipped"}}
	for _, l := range r.Activity {
		t.add(moment(l.At, now), brief(l.Actor, 40), clean(string(l.Action)), brief(l.What, 60), strconv.FormatInt(l.Changed, 10), strconv.FormatInt(l.Skipped, 10))
	}
	return t.write(a.out, a.color)
}
