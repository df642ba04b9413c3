package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/config"
)

func (a *app) managerCommand() *cobra.Command {
	var f format
	var once bool
	every, lease := duration(holdfast.DefaultSweepEvery), duration(holdfast.DefaultLease)
	crashes := holdfast.DefaultMaxCrashes
	cmd := &cobra.Command{
		Use:        "manager",
		Short:      "give the jobs of dead consumers to others",
		SuggestFor: []string{"sweep", "rescue", "recover", "check"},
		Long: `Gives back the jobs of consumers that died or whose lease has ended, makes scheduled jobs due, and cancels what has
missed its start-by time; until Ctrl-C, or with --once. Every consumer of the library does the same beside its work, and
any number may: alone it is for stores whose jobs are taken with get.`,
		Example: `  holdfast manager
  holdfast manager --once --json`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.config()
			if err != nil {
				return err
			}
			unless(cmd, "every", &every, duration(c.Manager.Every))
			unless(cmd, "lease", &lease, duration(c.Consumer.Lease))
			unless(cmd, "max-crashes", &crashes, c.Consumer.NCrashes)
			look := holdfast.Sweep{Lease: time.Duration(lease), MaxCrashes: crashes, Limit: 1000}
			if every <= 0 || lease <= 0 || crashes < 0 {
				return usagef("--every and --lease must be longer than nothing, --max-crashes 0 (no limit) or more")
			}
			return a.looks(cmd.Context(), "manager", time.Duration(every), once, func(ctx context.Context, s holdfast.Store) error {
				return a.sweep(ctx, s, look, once, f)
			})
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVar(&once, "once", false, "look once and end")
	fs.Var(&every, "every", "pause between two looks")
	fs.Var(&lease, "lease", "the consumers' lease: after a standstill their jobs get so much more time")
	fs.IntVar(&crashes, "max-crashes", crashes, "a job that killed its consumer so often is failed; 0: no limit")
	f.flags(cmd)
	return cmd
}

// unless sets what a flag of the command would have set, unless it did.
func unless[T any](cmd *cobra.Command, flag string, v *T, def T) {
	if !cmd.Flags().Changed(flag) {
		*v = def
	}
}

// looks opens the store and looks once, or at an interval until the context ends.
func (a *app) looks(ctx context.Context, who string, every time.Duration, once bool, look func(context.Context, holdfast.Store) error) error {
	s, err := a.existing(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if once {
		return look(ctx, s)
	}
	a.say("%s looks every %s; Ctrl-C ends it", who, span(every))
	for {
		// A look is short and is not interrupted.
		if err := look(context.WithoutCancel(ctx), s); err != nil {
			return err
		}
		if !pause(ctx, every) {
			a.say("%s ended", who)
			return nil
		}
	}
}

// sweep is one look of the manager: as many steps as there is to do.
func (a *app) sweep(ctx context.Context, s holdfast.Store, look holdfast.Sweep, once bool, f format) error {
	var sum holdfast.Swept
	for {
		swept, err := s.Sweep(ctx, look)
		if err != nil {
			return fmt.Errorf("manager: %w", err)
		}
		sum.Due += swept.Due
		sum.Returned += swept.Returned
		sum.SetAside += swept.SetAside
		sum.Cancelled += swept.Cancelled
		sum.Graced = sum.Graced || swept.Graced
		if !swept.More {
			break
		}
	}
	if sum.Graced {
		a.say("nobody looked for a while: running jobs of live consumers got one lease more")
	}
	now := time.Now()
	switch {
	case !once && sum.Due+sum.Returned+sum.SetAside+sum.Cancelled == 0:
		return nil
	case f.machine():
		return a.one(sweptView{At: stamp(now), Due: sum.Due, Returned: sum.Returned, SetAside: sum.SetAside, Cancelled: sum.Cancelled})
	}
	text := fmt.Sprintf("%d given back, %d due, %d set aside, %d cancelled", sum.Returned, sum.Due, sum.SetAside, sum.Cancelled)
	if !once {
		text = moment(now, now) + "  manager  " + text
	}
	return a.print("%s", text)
}

// cleaner is what `holdfast cleaner` was asked for.
type cleaner struct {
	format
	once, dry               bool
	every                   duration
	done, cancelled, failed keep
	jobs                    int
	queues                  map[string]holdfast.Retention // of single queues
}

func (a *app) cleanerCommand() *cobra.Command {
	def := holdfast.DefaultRetention
	c := cleaner{every: duration(holdfast.DefaultPurgeEvery), done: keep(def.Done), cancelled: keep(def.Cancelled), failed: keep(def.Failed), jobs: def.Jobs}
	cmd := &cobra.Command{
		Use:        "cleaner",
		Short:      "remove ended jobs that were kept long enough",
		SuggestFor: []string{"clean", "gc", "prune", "vacuum"},
		Long: `Removes ended jobs that were kept long enough, in small steps; until Ctrl-C, or with --once. No job goes within ten
minutes of its end, so that answers can be repeated. A failed job with a file of its own (*.failed) is left to the
cleaner of serve, which removes both. Every consumer of the library does the same beside its work.`,
		Example: `  holdfast cleaner --once --dry-run
  holdfast cleaner --keep-done 1h --keep-failed forever`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.every <= 0 || c.jobs < 0 {
				return usagef("--every must be longer than nothing, --keep-jobs 0 (no bound) or more")
			}
			if err := a.cleanerSettings(cmd, &c); err != nil {
				return err
			}
			return a.looks(cmd.Context(), "cleaner", time.Duration(c.every), c.once || c.dry, func(ctx context.Context, s holdfast.Store) error {
				if c.dry {
					return a.wouldClean(ctx, s, &c)
				}
				return a.clean(ctx, s, &c)
			})
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&c.once, "once", false, "look once and end")
	f.BoolVar(&c.dry, "dry-run", false, "count what one look would remove, and remove nothing")
	f.Var(&c.every, "every", "pause between two looks")
	f.Var(&c.done, "keep-done", "keep done jobs so long, or forever")
	f.Var(&c.cancelled, "keep-cancelled", "keep cancelled jobs so long, or forever")
	f.Var(&c.failed, "keep-failed", "keep failed jobs so long, or forever")
	f.IntVar(&c.jobs, "keep-jobs", c.jobs, "and of a queue at most so many ended jobs, oldest go first; 0: no bound")
	c.format.flags(cmd)
	return cmd
}

// cleanerSettings takes from the config what the flags do not say. The flags take part in it: what a queue does not say
// itself is as they say.
func (a *app) cleanerSettings(cmd *cobra.Command, c *cleaner) error {
	var flags []config.Flag
	for _, name := range []string{"keep-done", "keep-cancelled", "keep-failed", "keep-jobs"} {
		if f := cmd.Flags().Lookup(name); f.Changed {
			flags = append(flags, config.Flag{Key: "cleaner." + strings.ReplaceAll(name, "-", "_"), Name: "--" + name, Value: f.Value.String()})
		}
	}
	s, err := a.config(flags...)
	if err != nil {
		return err
	}
	r := s.Cleaner.Keep
	c.done, c.cancelled, c.failed, c.jobs, c.queues = keep(r.Done), keep(r.Cancelled), keep(r.Failed), r.Jobs, s.Queues
	unless(cmd, "every", &c.every, duration(s.Cleaner.Every))
	return nil
}

// retention is that of a queue, "" for those without their own.
func (c *cleaner) retention(queue string) holdfast.Retention {
	if own, is := c.queues[queue]; is {
		return own
	}
	return holdfast.Retention{Done: time.Duration(c.done), Cancelled: time.Duration(c.cancelled), Failed: time.Duration(c.failed), Jobs: c.jobs}
}

// clean is one look of the cleaner: as many steps as there is to do.
func (a *app) clean(ctx context.Context, s holdfast.Store, c *cleaner) error {
	var removed int64
	for {
		purged, err := s.Purge(ctx, holdfast.Purge{Keep: c.retention(""), Queues: c.queues, Limit: 500})
		if err != nil {
			return fmt.Errorf("cleaner: %w", err)
		}
		removed += int64(purged.Jobs)
		if !purged.More {
			break
		}
	}
	now := time.Now()
	switch {
	case !c.once && removed == 0:
		return nil
	case c.machine():
		return a.one(purgedView{At: stamp(now), Removed: removed})
	case c.once:
		return a.print("removed %d", removed)
	}
	return a.print("%s  cleaner  removed %d", moment(now, now), removed)
}

// wouldClean counts what clean would remove now.
func (a *app) wouldClean(ctx context.Context, s holdfast.Store, c *cleaner) error {
	counts, err := s.Counts(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	view := purgedView{At: stamp(now), DryRun: true, Queues: map[string]int64{}}
	for _, q := range counts {
		n, err := tooOld(ctx, s, q, c.retention(q.Queue), now)
		if err != nil {
			return err
		}
		if n > 0 {
			view.Queues[q.Queue] = n
		}
		view.Removed += n
	}
	if c.machine() {
		return a.one(view)
	}
	text := fmt.Sprintf("would remove %d", view.Removed)
	var parts []string
	for _, q := range counts {
		if n := view.Queues[q.Queue]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", q.Queue, n))
		}
	}
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	return a.print("%s", text)
}

// tooOld counts the jobs of a queue that retention lets go now, by the rule of Store.Purge: the longest ended first,
// each if its time is over or while the queue still has too many.
func tooOld(ctx context.Context, s holdfast.Store, q holdfast.Counts, r holdfast.Retention, now time.Time) (int64, error) {
	ended := q.Of(holdfast.Done) + q.Of(holdfast.Failed) + q.Of(holdfast.Cancelled)
	crowded := r.Jobs > 0 && ended > int64(r.Jobs)
	type job struct {
		at   time.Time
		over bool // its time
	}
	var jobs []job
	for _, of := range []struct {
		state holdfast.State
		kept  time.Duration
	}{{holdfast.Done, r.Done}, {holdfast.Failed, r.Failed}, {holdfast.Cancelled, r.Cancelled}} {
		over := now.Add(-min(max(of.kept, holdfast.MinKept), 200*366*24*time.Hour)) // forever would leave the calendar
		before := over
		if crowded {
			before = now.Add(-holdfast.MinKept)
		}
		f := holdfast.Filter{Queues: []string{q.Queue}, States: []holdfast.State{of.state}, EndedBefore: before}
		for i, err := range holdfast.NewOperator(s, "").Jobs(ctx, f) {
			if err != nil {
				return 0, err
			}
			if !i.Attached {
				jobs = append(jobs, job{i.EndedAt, i.EndedAt.Before(over)})
			}
		}
	}
	slices.SortFunc(jobs, func(a, b job) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	var removed int64
	for _, j := range jobs {
		if j.over || r.Jobs > 0 && ended-removed > int64(r.Jobs) {
			removed++
		}
	}
	return removed, nil
}
