package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/pipeline"
)

func (a *app) showCommand() *cobra.Command {
	var f format
	cmd := &cobra.Command{
		Use:        "show ID",
		Short:      "everything of a job",
		SuggestFor: []string{"cat", "inspect", "describe", "info", "job"},
		Long:       `Shows everything of a job: its data and result, its times, and each attempt with its error and log.`,
		Example: `  holdfast show "$id"
  holdfast show "$id" --json | jq .result`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.show(cmd.Context(), args[0], f) },
	}
	f.flags(cmd)
	return cmd
}

func (a *app) show(ctx context.Context, word string, f format) error {
	if lease, err := holdfast.ParseLease(word); err == nil {
		word = lease.Job.String() // a lease names its job, too
	}
	id, err := holdfast.ParseID(word)
	if err != nil {
		return err
	}
	s, err := a.existing(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	info, attempts, err := s.Show(ctx, id)
	if errors.Is(err, holdfast.ErrNotFound) {
		return &remedy{err, fmt.Sprintf("there is no job %s: it never was, was deleted, or was removed by the cleaner", id)}
	}
	if err != nil {
		return err
	}
	if f.machine() {
		v := viewJob(&info)
		for i := range attempts {
			v.Attempts = append(v.Attempts, viewAttempt(&attempts[i]))
		}
		return a.one(v)
	}
	return a.sheet(&info, attempts, a.consumerName(ctx, s, &info, attempts), time.Now())
}

// sheet prints a job for people.
func (a *app) sheet(i *holdfast.Info, attempts []holdfast.Attempt, holder string, now time.Time) error {
	var out bytes.Buffer
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&out, "%-9s  %s\n", name, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
	word := sign(i)
	if code := hue(i); a.color && code != "" {
		word = "\x1b[" + code + "m" + word + "\x1b[0m"
	}
	line("job", "%s", i.ID)
	line("queue", "%s", clean(i.Queue))
	line("state", "%s%s", word, story(i, holder, now))
	line("made", "%s", when(i.MadeAt, now))
	if !i.State.Ended() && i.State != holdfast.Running {
		line("due", "%s", when(i.RunAt, now))
	}
	if !i.StartBy.IsZero() {
		line("start by", "%s", when(i.StartBy, now))
	}
	if !i.EndedAt.IsZero() {
		line("ended", "%s", when(i.EndedAt, now))
	}
	if i.Attempt > 0 {
		line("attempts", "%s", tally(i, attempts))
	}
	if !i.CancelRequested.IsZero() {
		line("cancel", "asked for %s; its consumer is to let go", when(i.CancelRequested, now))
	}
	if i.Priority > 0 {
		line("priority", "%d", i.Priority)
	}
	if i.UniqueKey != "" {
		line("key", "%s", clean(i.UniqueKey))
	}
	if !i.Parent.IsZero() {
		line("made by", "job %s", i.Parent)
	}
	if i.State == holdfast.Running && (i.Progress > 0 || i.Note != "") {
		line("progress", "%.0f %% %s", i.Progress*100, clean(i.Note))
	}
	line("data", "%s", document(i.Data))
	switch {
	case i.Attached:
		line("file", "%s", attached(i))
	case len(i.Result) > 0:
		line("result", "%s", document(i.Result))
	}
	for n := range attempts {
		writeAttempt(&out, &attempts[n], now)
	}
	_, err := a.out.Write(out.Bytes())
	return err
}

// story says in a few words why the job is in its state.
func story(i *holdfast.Info, holder string, now time.Time) string {
	switch {
	case leaseOver(i, now) != "":
		return fmt.Sprintf(" at %s for %s; %s: holdfast manager, or any get, does it", holder, figure(now.Sub(i.StartedAt)), leaseOver(i, now))
	case i.State == holdfast.Running:
		return fmt.Sprintf(" at %s for %s, until %s", holder, figure(now.Sub(i.StartedAt)), moment(i.LeaseUntil, now))
	case isRetry(i):
		return ": an attempt failed"
	case i.Why == holdfast.ReasonExhausted:
		return ": no attempts left"
	case i.Why == holdfast.ReasonPermanent:
		return ": for good"
	case i.Why == holdfast.ReasonCrashes:
		return ": it kept killing its consumer"
	case i.Why == holdfast.ReasonAbandoned:
		return ": its lease ended too often without a report"
	case i.Why == holdfast.ReasonReleased:
		return ": given back"
	case i.Why == holdfast.ReasonSwept:
		return ": its consumer died or its lease ended"
	case i.Why == holdfast.ReasonReopened:
		return ": retried by a person"
	case i.Why == holdfast.ReasonRequested:
		return ": somebody asked for it"
	case i.Why == holdfast.ReasonTooLate:
		return ": not started by its start-by time"
	}
	return because(i)
}

// leaseOver says that a running job's lease has ended and nobody has given the job back yet, else "".
func leaseOver(i *holdfast.Info, now time.Time) string {
	if i.State != holdfast.Running || i.LeaseUntil.IsZero() || !now.After(i.LeaseUntil) {
		return ""
	}
	return fmt.Sprintf("lease ended %s, not given back yet", age(i.LeaseUntil, now))
}

// isSwept says whether the latest attempt ended without a report.
func isSwept(i *holdfast.Info) bool {
	return i.Why == holdfast.ReasonSwept || i.Why == holdfast.ReasonCrashes || i.Why == holdfast.ReasonAbandoned
}

// attached is the file that belongs to a failed job, as a path.
func attached(i *holdfast.Info) string {
	r, ok := pipeline.AttachmentOf(i)
	if !ok {
		return document(i.Result)
	}
	path := clean(filepath.Join(r.Folder, filepath.FromSlash(r.Name())))
	if r.Machine != host() {
		path += " on " + clean(r.Machine)
	}
	return path
}

// tally counts what has happened to a job. A retry forgets failures; the attempts remember them.
func tally(i *holdfast.Info, attempts []holdfast.Attempt) string {
	parts := []string{strconv.Itoa(i.Attempt)}
	failed := 0
	for n := range attempts {
		if attempts[n].Outcome == holdfast.OutcomeFailed {
			failed++
		}
	}
	if failed > i.Failures {
		counted := strconv.Itoa(i.Failures)
		if i.MaxAttempts > 0 {
			counted = fmt.Sprintf("%d of %d", i.Failures, i.MaxAttempts)
		}
		parts = append(parts, fmt.Sprintf("%d failed; failures counted since the retry: %s", failed, counted))
	} else if i.MaxAttempts > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d failed", i.Failures, i.MaxAttempts))
	} else if i.Failures > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", i.Failures))
	}
	if i.Deaths > 0 {
		parts = append(parts, fmt.Sprintf("%d ended with their consumer", i.Deaths))
	}
	if i.Crashes > 0 {
		parts = append(parts, fmt.Sprintf("%d of these were its own doing", i.Crashes))
	}
	return strings.Join(parts, ", ")
}

// unreported says why an attempt ended of which nobody has reported.
var unreported = map[holdfast.OutcomeKind]string{
	holdfast.OutcomeLost:    "its lease ended without a report",
	holdfast.OutcomeDied:    "its consumer died",
	holdfast.OutcomeCrashed: "its consumer died while it ran alone: its own doing",
}

func writeAttempt(out io.Writer, at *holdfast.Attempt, now time.Time) {
	fmt.Fprintf(out, "\nattempt %d", at.N)
	if at.Host != "" {
		fmt.Fprintf(out, " on %s", clean(at.Host))
	}
	fmt.Fprintf(out, ", %s", moment(at.StartedAt, now))
	switch why := unreported[at.Outcome]; {
	case at.Outcome == holdfast.OutcomeNone:
		fmt.Fprintf(out, ": running\n")
	case why != "":
		fmt.Fprintf(out, ": %s, held %s\n  %s\n", at.Outcome, span(at.EndedAt.Sub(at.StartedAt)), why)
	default:
		fmt.Fprintf(out, ": %s, took %s\n", at.Outcome, span(at.Took))
	}
	for _, text := range []string{at.Error, string(at.Log)} {
		for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
			if text != "" {
				fmt.Fprintf(out, "  %s\n", cleanLines(line))
			}
		}
	}
}

// when gives a time and how long ago it was.
func when(t, now time.Time) string { return moment(t, now) + " (" + age(t, now) + ")" }

// document shows data or a result: JSON as it is, text in quotes, anything else by its size.
func document(b []byte) string {
	switch {
	case len(b) == 0:
		return "none"
	case utf8.Valid(b) && json.Valid(b):
		var flat bytes.Buffer
		if json.Compact(&flat, b) != nil {
			return clean(string(b))
		}
		return strings.TrimSuffix(string(plain(flat.Bytes())), "\n")
	case utf8.Valid(b):
		return clean(string(b)) + " (text)"
	}
	return fmt.Sprintf("%d bytes, no text", len(b))
}
