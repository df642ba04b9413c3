package cli

import (
	"github.com/spf13/cobra"
)

// format is how a command prints its results: for people, or as JSON.
type format struct{ json, lines bool }

// flags adds --json and --jsonl.
func (f *format) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.json, "json", false, "one JSON document")
	cmd.Flags().BoolVar(&f.lines, "jsonl", false, "JSON, one object a line")
	cmd.MarkFlagsMutuallyExclusive("json", "jsonl")
}

// machine says whether a program reads the results.
func (f *format) machine() bool { return f.json || f.lines }

// one prints a single object.
func (a *app) one(v any) error {
	text, err := encode(v)
	if err == nil {
		_, err = a.out.Write(text)
	}
	return err
}

// list prints objects: each in its line, or all in one document under a name.
func list[T any](a *app, f format, name string, items []T) error {
	if !f.lines {
		if items == nil {
			items = []T{}
		}
		return a.one(map[string][]T{name: items})
	}
	for _, item := range items {
		if err := a.one(item); err != nil {
			return err
		}
	}
	return nil
}

func jsonTopic() *cobra.Command {
	return topic("json", "the fields of --json and --jsonl", `Every reading command has --json (one document) and --jsonl (one object a line). Fields may come; none goes or changes
its meaning. A field without a value is left out. Times are RFC 3339 in UTC with milliseconds, *_ms are milliseconds,
states and reasons are words. Lists: {"jobs": […]}, {"queues": […]}; with --jsonl their elements.

job      id queue state why priority attempt failures max_attempts max_run_ms fence deaths crashes unique_key parent consumer
         made_at run_at start_by started_at ended_at lease_until cancel_requested_at waited_ms took_ms progress note error
         cause attached data result; show adds attempts [n outcome consumer host started_at ended_at took_ms error log]
get      lease fence id queue attempt failures max_attempts lease_until data
put      id made replaced
done, fail, release, extend
         id state why attempt failures max_attempts run_at lease_until cancel_requested
queues   queue scheduled waiting running done failed cancelled oldest_at paused paused_at paused_by
stats    queue since made started done failed_attempts ended returned waited took {count p50_ms p95_ms p99_ms}
activity id at actor via action what changed skipped
retry, cancel, delete, run-now
         action changed skipped [id reason]
pause, resume
         queue paused
manager  at due returned set_aside cancelled
cleaner  at removed dry_run queues
version  version commit go system sqlite
config show
         values [key value from file line env flag]

data and result are raw JSON; what is no JSON comes as data_text, what is no text as data_base64 (result_ likewise).`)
}
