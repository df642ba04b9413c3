package cli

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
)

// chosen is what --queue and --state choose.
type chosen struct {
	queues, states []string
}

func (c *chosen) flags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&c.queues, "queue", nil, "only of these `QUEUES`: files,mail")
	cmd.Flags().StringSliceVar(&c.states, "state", nil, "only in these `STATES`: waiting, scheduled, running, done, failed, cancelled")
}

func (c *chosen) any() bool { return len(c.queues)+len(c.states) > 0 }

func (c *chosen) filter() (holdfast.Filter, error) {
	var f holdfast.Filter
	for _, q := range c.queues {
		if err := holdfast.CheckQueueName(q); err != nil {
			return f, err
		}
		f.Queues = append(f.Queues, q)
	}
	for _, word := range c.states {
		if word == "retry" {
			return f, usagef("retry is how a scheduled job looks after a failed attempt; use --state scheduled")
		}
		state, err := holdfast.ParseState(word)
		if err != nil {
			return f, err
		}
		f.States = append(f.States, state)
	}
	return f, nil
}

// ls is what `holdfast ls` was asked for.
type ls struct {
	format
	chosen
	limit  int
	layout string
}

const listLimit = 50 // jobs that ls shows when nobody says how many

func (a *app) lsCommand() *cobra.Command {
	var l ls
	cmd := &cobra.Command{
		Use:        "ls",
		Aliases:    []string{"list", "jobs"},
		Short:      "jobs, newest first",
		SuggestFor: []string{"find", "search", "status", "query"},
		Long: `Lists jobs, newest first. ` + "`holdfast help words`" + ` says what the signs mean. -o wide shows more, -o csv is for
spreadsheets; both and JSON have the jobs' data.`,
		Example: `  holdfast ls
  holdfast ls --state failed --queue files,mail
  holdfast ls --state failed --limit 0 --jsonl | jq -r .id`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.ls(cmd.Context(), &l) },
	}
	cmd.Flags().SortFlags = false
	l.chosen.flags(cmd)
	cmd.Flags().IntVar(&l.limit, "limit", listLimit, "at most so many; 0: all")
	cmd.Flags().StringVarP(&l.layout, "output", "o", "", "wide or csv (or json, jsonl)")
	l.format.flags(cmd)
	return cmd
}

func (a *app) ls(ctx context.Context, l *ls) error {
	switch l.layout {
	case "", "wide", "csv":
	case "json":
		l.json = true
	case "jsonl":
		l.lines = true
	default:
		return usagef("-o is %s; allowed are wide, csv, json and jsonl", quote(l.layout))
	}
	if l.limit < 0 {
		return usagef("--limit is %d; allowed are 0 (all) and more", l.limit)
	}
	if l.machine() && (l.layout == "wide" || l.layout == "csv") {
		return usagef("-o %s and JSON at once; choose one", l.layout)
	}
	f, err := l.filter()
	if err != nil {
		return err
	}
	s, err := a.existing(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	jobs, more, err := a.listJobs(ctx, s, f, l)
	if err != nil {
		return err
	}
	switch {
	case l.lines: // printed page by page
	case l.json:
		views := make([]jobView, len(jobs))
		for i := range jobs {
			views[i] = viewJob(&jobs[i])
		}
		err = list(a, l.format, "jobs", views)
	case l.layout == "csv":
		err = a.csv(jobs)
	case len(jobs) == 0:
		a.say("%s", orElse(noQueue(ctx, s, f.Queues), "no jobs: "+clean(f.String())))
	default:
		err = jobTable(jobs, l.layout == "wide", time.Now()).write(a.out, a.color)
	}
	if more && err == nil {
		a.say("the newest %d; older ones with --limit %d, all with --limit 0", l.limit, l.limit*10)
	}
	return err
}

// listJobs reads the pages that are asked for. With --jsonl it prints each at once, so that all jobs need no memory.
func (a *app) listJobs(ctx context.Context, s holdfast.Store, f holdfast.Filter, l *ls) (jobs []holdfast.Info, more bool, err error) {
	q := holdfast.List{Filter: f, Data: l.machine() || l.layout != ""}
	for left := l.limit; ; {
		q.Limit = holdfast.MaxPage
		if l.limit > 0 {
			q.Limit = min(left, q.Limit)
		}
		page, err := s.List(ctx, q)
		if err != nil {
			return nil, false, err
		}
		if l.lines {
			if err := a.printLines(page.Jobs); err != nil {
				return nil, false, err
			}
		} else {
			jobs = append(jobs, page.Jobs...)
		}
		left -= len(page.Jobs)
		if page.Next == "" || l.limit > 0 && left <= 0 {
			return jobs, page.Next != "", nil
		}
		q.After = page.Next
	}
}

// printLines prints a page of jobs, one object a line, in one write.
func (a *app) printLines(jobs []holdfast.Info) error {
	var out bytes.Buffer
	for i := range jobs {
		line, err := encode(viewJob(&jobs[i]))
		if err != nil {
			return err
		}
		out.Write(line)
	}
	_, err := a.out.Write(out.Bytes())
	return err
}

func jobTable(jobs []holdfast.Info, wide bool, now time.Time) *table {
	t := &table{head: []string{"job", "queue", "state", ">attempt", ">made", ">took", "error"}}
	if wide {
		t.head = []string{"job", "queue", "state", ">attempt", ">priority", "made", "due", ">waited", ">took", "data", "error"}
	}
	for i := range jobs {
		j := &jobs[i]
		attempt, waited, took := "–", "–", "–"
		fault := j.Error
		if j.State == holdfast.Done {
			fault = "" // of an earlier attempt: show has it
		}
		most := 50
		if over := leaseOver(j, now); over != "" {
			fault, most = over+": see show", 60
		}
		if j.Attempt > 0 {
			attempt, waited = strconv.Itoa(j.Attempt), span(j.Waited)
			if took = span(j.Took); j.State == holdfast.Running {
				took = span(now.Sub(j.StartedAt).Truncate(time.Second)) + "…"
			} else if j.Took == 0 && isSwept(j) {
				took = "–" // nobody reported
			}
		}
		if wide {
			t.add(j.ID.String(), clean(j.Queue), sign(j), attempt, strconv.Itoa(j.Priority), moment(j.MadeAt, now), moment(j.RunAt, now),
				waited, took, brief(string(j.Data), 40), brief(fault, 60))
		} else {
			t.add(j.ID.String(), clean(j.Queue), sign(j), attempt, age(j.MadeAt, now), took, brief(fault, most))
		}
		t.tint(2, hue(j))
	}
	return t
}

// csv prints jobs for spreadsheets: times and durations as in JSON.
func (a *app) csv(jobs []holdfast.Info) error {
	w := csv.NewWriter(a.out)
	w.Write([]string{"id", "queue", "state", "why", "priority", "attempt", "failures", "made_at", "run_at", "started_at", "ended_at", "waited_ms", "took_ms", "error", "data"})
	for i := range jobs {
		j := viewJob(&jobs[i])
		data := string(jobs[i].Data)
		w.Write([]string{
			j.ID, cellText(j.Queue), j.State, j.Why, strconv.Itoa(j.Priority), strconv.Itoa(j.Attempt), strconv.Itoa(j.Failures),
			orNone(j.MadeAt), orNone(j.RunAt), orNone(j.StartedAt), orNone(j.EndedAt), number(j.Waited), number(j.Took), cellText(j.Error), cellText(data),
		})
	}
	w.Flush()
	return w.Error()
}

// cellText keeps foreign text from being obeyed: by a terminal, or as a formula by a spreadsheet.
func cellText(s string) string {
	s = cleanLines(s)
	if s != "" && (s[0] == '=' || s[0] == '+' || s[0] == '-' || s[0] == '@') {
		if _, err := strconv.ParseFloat(s, 64); err != nil {
			return "'" + s
		}
	}
	return s
}

func orNone(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func number(f *float64) string {
	if f == nil {
		return ""
	}
	return fmt.Sprint(*f)
}
