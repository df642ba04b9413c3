package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/pipeline"
)

// amend is what one of the four actions was asked for.
type amend struct {
	format
	chosen
	action holdfast.Action
	yes    bool
}

func (a *app) amendCommands() []*cobra.Command {
	return []*cobra.Command{
		a.amendCommand(holdfast.ActionRetry, "ended jobs wait again, with no failures counted", []string{"rerun", "requeue", "resurrect", "reopen"},
			`Makes ended jobs wait again, with their failures, deaths and crashes forgotten, and jobs that are scheduled for their
next attempt due now. With --queue alone it means failed and cancelled jobs.`,
			"  holdfast retry \"$id\"\n  holdfast retry --queue files --state failed\n  holdfast retry --state failed --yes"),
		a.amendCommand(holdfast.ActionCancel, "end jobs that have not ended; a running one is asked to", []string{"abort", "kill", "stop"},
			`Ends jobs that have not ended. Of a running one the consumer is asked to let go; if it finishes first, done stays done.`,
			"  holdfast cancel \"$id\"\n  holdfast cancel --queue mail --state waiting,scheduled"),
		a.amendCommand(holdfast.ActionDelete, "remove jobs that are not running, with their history", []string{"rm", "remove", "purge", "drop", "clear"},
			`Removes jobs that are not running, with their attempts, results and logs. This cannot be undone.`,
			"  holdfast delete \"$id\"\n  holdfast delete --queue mail --state cancelled"),
		a.amendCommand(holdfast.ActionRunNow, "scheduled jobs are due now", []string{"run", "now", "promote"},
			`Makes scheduled jobs due now.`,
			"  holdfast run-now \"$id\"\n  holdfast run-now --queue mail"),
	}
}

func (a *app) amendCommand(action holdfast.Action, short string, suggest []string, long, example string) *cobra.Command {
	m := amend{action: action}
	cmd := &cobra.Command{
		Use:        string(action) + " ID…",
		Short:      short,
		SuggestFor: suggest,
		Long: long + `

Name jobs by id, or by --queue and --state. Above one job it shows how many and asks first; --yes answers in advance.
Jobs whose state does not allow it are left alone, with the reason. What it does is kept with your name: holdfast activity.`,
		Example: example,
		Args:    arguments(0, -1),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.amend(cmd.Context(), &m, args) },
	}
	cmd.Flags().SortFlags = false
	m.chosen.flags(cmd)
	cmd.Flags().BoolVarP(&m.yes, "yes", "y", false, "do not ask")
	m.format.flags(cmd)
	return cmd
}

func (a *app) amend(ctx context.Context, m *amend, args []string) error {
	f, err := m.filter()
	if err != nil {
		return err
	}
	switch {
	case len(args) > 0 && m.any():
		return usagef("name jobs by id, or by --queue and --state, not both")
	case len(args) == 0 && !m.any():
		return usagef("which jobs? name them by id, or by --queue and --state; see holdfast %s --help", m.action)
	}
	for _, word := range args {
		id, err := holdfast.ParseID(word)
		if err != nil {
			return err
		}
		f.IDs = append(f.IDs, id)
	}
	s, err := a.existing(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	count, err := countOf(ctx, s, m.action, f)
	switch {
	case err != nil:
		return err
	case count == 0:
		text := fmt.Sprintf("no job to %s: %s", m.action, clean(f.String()))
		return &remedy{holdfast.ErrNotFound, orElse(noQueue(ctx, s, f.Queues), text)}
	case count > 1 && !m.yes:
		if err := a.confirm(ctx, s, m.action, f, count); err != nil {
			return err
		}
	}
	gone, err := a.files(ctx, s, m.action, &f)
	if err != nil {
		return err
	}
	if len(gone) > 0 && len(f.IDs) == 0 {
		return a.amended(m, holdfast.Filter{IDs: []holdfast.ID{gone[0].ID}}, 0, 0, gone)
	}
	asked, err := runningOf(ctx, s, m.action, f)
	if err != nil {
		return err
	}
	changed, skipped, err := a.operator(s).Amend(ctx, m.action, f)
	skipped = append(gone, skipped...)
	if err != nil {
		if changed > 0 {
			a.say("%d changed before this; the same command goes on", changed)
		}
		return err
	}
	return a.amended(m, f, changed, min(asked, changed), skipped)
}

// files looks at the files of ours that belong to failed jobs. A retry of a job whose file is gone is refused, with the
// reason, if the job is named by id; by a filter the consumer finds out. A delete leaves the file, and says so.
func (a *app) files(ctx context.Context, s holdfast.Store, action holdfast.Action, f *holdfast.Filter) (gone []holdfast.Skipped, err error) {
	switch action {
	case holdfast.ActionRetry:
		machine, _ := os.Hostname()
		f.IDs = slices.DeleteFunc(f.IDs, func(id holdfast.ID) bool {
			info, _, showErr := s.Show(ctx, id)
			if showErr != nil || !info.Attached || info.State != holdfast.Failed {
				return false // Amend says what is wrong with it
			}
			refusal := pipeline.CheckRetry(&info, machine)
			if refusal != nil {
				reason := strings.TrimPrefix(refusal.Error(), fmt.Sprintf("%v: job %v ", holdfast.ErrConflict, id))
				gone = append(gone, holdfast.Skipped{ID: id, Reason: reason, Err: holdfast.ErrConflict})
			}
			return refusal != nil
		})
	case holdfast.ActionDelete:
		with := *f
		with.Attached = true
		page, listErr := s.List(ctx, holdfast.List{Filter: with, Limit: 1, Data: true})
		if listErr != nil {
			return nil, listErr
		}
		for i := range page.Jobs {
			if r, ok := pipeline.AttachmentOf(&page.Jobs[i]); ok {
				a.say("files of deleted jobs stay where they are, such as %s; remove them yourself", clean(r.Name()))
			}
		}
	}
	return gone, nil
}

// toldSkipped is the number of jobs whose reason is told to people.
const toldSkipped = 20

// amended prints what came of an action; of asked of the changed jobs the consumer was asked to let go.
func (a *app) amended(m *amend, f holdfast.Filter, changed, asked int, skipped []holdfast.Skipped) error {
	var left []error
	for n, s := range skipped {
		if n < toldSkipped {
			a.say("%s left alone: it %s", s.ID, wasNot(m.action, s))
		}
		left = append(left, s.Err)
	}
	if more := len(skipped) - toldSkipped; more > 0 {
		a.say("… and %d more; --json names them", more)
	}
	var code error // jobs that a filter names and whose state has changed since are no failure
	if len(f.IDs) > 0 && len(left) > 0 {
		code = told{errors.Join(left...)}
	}
	if m.machine() {
		view := amendView{Action: string(m.action), Changed: changed, Skipped: []skippedView{}}
		for _, s := range skipped {
			view.Skipped = append(view.Skipped, skippedView{s.ID.String(), s.Reason})
		}
		if err := a.one(view); err != nil {
			return err
		}
		return code
	}
	if err := a.print("%s", whatWas(m.action, changed, asked, len(skipped))); err != nil {
		return err
	}
	return code
}

// whatWas says in a few words what an action has done.
func whatWas(action holdfast.Action, changed, asked, skipped int) string {
	var parts []string
	switch ended := changed - asked; action {
	case holdfast.ActionRetry:
		parts = append(parts, fmt.Sprintf("%d %s again", changed, plural(changed, "waits", "wait")))
	case holdfast.ActionCancel:
		if ended > 0 || asked == 0 {
			parts = append(parts, fmt.Sprintf("%d cancelled", ended))
		}
		if asked > 0 {
			parts = append(parts, fmt.Sprintf("%d running: asked %s to let go", asked, plural(asked, "its consumer", "their consumers")))
		}
	case holdfast.ActionDelete:
		parts = append(parts, fmt.Sprintf("%d deleted", changed))
	case holdfast.ActionRunNow:
		parts = append(parts, fmt.Sprintf("%d due now", changed))
	}
	if skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d skipped", skipped))
	}
	return strings.Join(parts, ", ")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// runningOf counts the running jobs that a cancel means, before it is done: of these it only asks.
func runningOf(ctx context.Context, s holdfast.Store, action holdfast.Action, f holdfast.Filter) (n int, err error) {
	if action != holdfast.ActionCancel || len(f.States) > 0 && !slices.Contains(f.States, holdfast.Running) {
		return 0, nil
	}
	if len(f.IDs) == 0 {
		f.States = []holdfast.State{holdfast.Running}
		running, err := countOf(ctx, s, action, f)
		return int(running), err
	}
	for _, id := range f.IDs {
		info, _, err := s.Show(ctx, id)
		if err != nil && !errors.Is(err, holdfast.ErrNotFound) {
			return n, err
		}
		if err == nil && info.State == holdfast.Running {
			n++
		}
	}
	return n, nil
}

// wasNot turns a reason into the rest of a sentence.
func wasNot(action holdfast.Action, s holdfast.Skipped) string {
	if errors.Is(s.Err, holdfast.ErrNotFound) {
		return "was not found"
	}
	if errors.Is(s.Err, holdfast.ErrDuplicate) {
		return "has a unique key that another job holds"
	}
	if action == holdfast.ActionDelete && s.Reason == "is running" {
		return "is running; cancel it first"
	}
	return clean(s.Reason)
}

// countOf counts the jobs that an action would look at, without a scan.
func countOf(ctx context.Context, s holdfast.Store, action holdfast.Action, f holdfast.Filter) (int64, error) {
	if len(f.IDs) > 0 {
		slices.SortFunc(f.IDs, func(a, b holdfast.ID) int { return strings.Compare(string(a[:]), string(b[:])) })
		return int64(len(slices.Compact(slices.Clone(f.IDs)))), nil
	}
	counts, err := s.Counts(ctx)
	if err != nil {
		return 0, err
	}
	states := f.States
	if len(states) == 0 {
		states = meant(action)
	}
	var n int64
	for _, c := range counts {
		for _, state := range states {
			if len(f.Queues) == 0 || slices.Contains(f.Queues, c.Queue) {
				n += c.Of(state)
			}
		}
	}
	return n, nil
}

// meant gives the states that an action changes when nobody names any.
func meant(action holdfast.Action) []holdfast.State {
	switch action {
	case holdfast.ActionRetry:
		return []holdfast.State{holdfast.Failed, holdfast.Cancelled}
	case holdfast.ActionCancel:
		return []holdfast.State{holdfast.Scheduled, holdfast.Waiting, holdfast.Running}
	case holdfast.ActionRunNow:
		return []holdfast.State{holdfast.Scheduled}
	}
	return []holdfast.State{holdfast.Scheduled, holdfast.Waiting, holdfast.Done, holdfast.Failed, holdfast.Cancelled}
}

// confirm shows how many jobs an action means, and some of them, and asks.
func (a *app) confirm(ctx context.Context, s holdfast.Store, action holdfast.Action, f holdfast.Filter, count int64) error {
	if !a.asks {
		return usagef("this would %s %d jobs, and nobody is there to be asked; say --yes", action, count)
	}
	sample := f
	if len(sample.IDs)+len(sample.States) == 0 {
		sample.States = meant(action)
	}
	page, err := s.List(ctx, holdfast.List{Filter: sample, Limit: 3, Data: true})
	if err != nil {
		return err
	}
	for i := range page.Jobs {
		j := &page.Jobs[i]
		fmt.Fprintf(a.talk, "  %s  %s  %s  %s\n", j.ID, clean(j.Queue), sign(j), brief(string(j.Data), 40))
	}
	if int64(len(page.Jobs)) < count {
		fmt.Fprintf(a.talk, "  … %d in all\n", count)
	}
	fmt.Fprintf(a.talk, "%s %d jobs? [y/N] ", action, count)
	answer, err := a.answer(ctx)
	if err != nil {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("not confirmed; nothing was changed")
}

// answer reads a line from the person, or ends with the context.
func (a *app) answer(ctx context.Context) (string, error) {
	read := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.in).ReadString('\n') // an end of input is no yes
		read <- line
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case line := <-read:
		return line, nil
	}
}
