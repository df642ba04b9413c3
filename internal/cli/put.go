package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
)

// put is what `holdfast put` was asked for.
type put struct {
	format
	text         string
	after        duration
	at, startBy  instant
	priority     int
	unique       string
	onDuplicate  string
	maxAttempts  int
	maxRun       duration
	id           string
	hasText      bool
	hasUnique    bool
	hasDuplicate bool
	hasAttempts  bool
	hasRun       bool
}

func (a *app) putCommand() *cobra.Command {
	var p put
	cmd := &cobra.Command{
		Use:        "put QUEUE JSON|-",
		Short:      "put a job, print its id",
		SuggestFor: []string{"push", "add", "enqueue", "submit", "send", "publish", "insert", "new"},
		Long: `Puts a job in a queue and prints its id. When it has, the job is on disk and is delivered until it is done, failed or
cancelled. The data is one JSON value: in the command line, or on stdin with -. --text takes plain text and keeps it as
a JSON string; - reads it from stdin, less a last end of line. Makes the store if there is none, and says so.

At most 1 MiB: put large data in a file, and its name in the job. A queue's name has 1 to 128 of A-Z a-z 0-9 . _ : -

While a unique key is held (until its job has ended) another put with it in the same queue keeps the first job and
prints its id, gives the first job the new data (--on-duplicate replace), or is refused with exit code 7 (refuse).
With --id the command may be repeated after a lost answer: it counts once.`,
		Example: `  holdfast put greet '{"name":"Ada"}'
  holdfast put files --text abcdefghij
  holdfast put mail --after 5m --unique ada@example.org '{"to":"ada@example.org"}'
  make-report | holdfast put reports --priority 9 -`,
		Args: arguments(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			changed := cmd.Flags().Changed
			p.hasText, p.hasUnique, p.hasDuplicate = changed("text"), changed("unique"), changed("on-duplicate")
			p.hasAttempts, p.hasRun = changed("max-attempts"), changed("max-run")
			return a.put(cmd.Context(), &p, args)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&p.text, "text", "", "the data: plain `TEXT`, kept as a JSON string; - reads it from stdin")
	f.Var(&p.after, "after", "due so long from now: 500ms, 30s, 5m, 24h, 7d, or seconds")
	f.Var(&p.at, "at", "due at this time: 2026-01-31 18:00, or RFC 3339")
	f.Var(&p.startBy, "start-by", "cancelled if it has not started by this time")
	f.IntVar(&p.priority, "priority", 0, "`N` from 0 to 9, higher first")
	f.StringVar(&p.unique, "unique", "", "a `KEY` that one job of the queue holds at a time")
	f.StringVar(&p.onDuplicate, "on-duplicate", "keep-first", "`HOW` if the key is held: keep-first, replace or refuse")
	f.IntVar(&p.maxAttempts, "max-attempts", 0, "`N` attempts before it is failed (default: as its consumer says)")
	f.Var(&p.maxRun, "max-run", "longest time for one attempt (default: as its consumer says)")
	f.StringVar(&p.id, "id", "", "the job's own `ID`, to repeat a put")
	p.format.flags(cmd)
	cmd.MarkFlagsMutuallyExclusive("after", "at")
	return cmd
}

func (a *app) put(ctx context.Context, p *put, args []string) error {
	job, err := a.newJob(ctx, p, args)
	if err != nil {
		return err
	}
	s, err := a.making(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	// Once begun it is not interrupted: the answer would be unknown.
	made, err := s.Insert(context.WithoutCancel(ctx), holdfast.Insert{Jobs: []holdfast.NewJob{job}})
	switch {
	case errors.Is(err, holdfast.ErrUnknown):
		return &remedy{err, fmt.Sprintf("it is not known whether job %s was put; repeat the command with --id %s, it counts once", job.ID, job.ID)}
	case err != nil:
		return fmt.Errorf("put in queue %s: %w", job.Queue, err)
	}
	return a.saidPut(p, &job, made[0])
}

// saidPut prints what came of a put.
func (a *app) saidPut(p *put, job *holdfast.NewJob, made holdfast.Inserted) error {
	switch {
	case made.Err != nil && made.ID == job.ID && p.id != "":
		return &remedy{made.Err, fmt.Sprintf("job %s is there with other data or in another queue; nothing was put", job.ID)}
	case made.Err != nil && job.OnDuplicate == holdfast.Replace:
		return &remedy{made.Err, fmt.Sprintf("job %s holds the key %s and is running; nothing was put", made.ID, quote(p.unique))}
	case made.Err != nil:
		return &remedy{made.Err, fmt.Sprintf("job %s holds the key %s; nothing was put", made.ID, quote(p.unique))}
	case made.Replaced:
		a.say("job %s held the key %s and has the new data now", made.ID, quote(p.unique))
	case !made.Made:
		a.say("job %s holds the key %s and stays as it is; nothing was put", made.ID, quote(p.unique))
	}
	if p.machine() {
		return a.one(putView{ID: made.ID.String(), Made: made.Made, Replaced: made.Replaced})
	}
	return a.print("%s", made.ID)
}

// newJob makes the job from flags, arguments and stdin.
func (a *app) newJob(ctx context.Context, p *put, args []string) (holdfast.NewJob, error) {
	job := holdfast.NewJob{
		ID: holdfast.NewID(), Queue: args[0], Priority: p.priority, After: time.Duration(p.after), RunAt: p.at.Time, StartBy: p.startBy.Time,
		MaxAttempts: p.maxAttempts, MaxRun: time.Duration(p.maxRun), UniqueKey: p.unique,
	}
	if err := holdfast.CheckQueueName(job.Queue); err != nil {
		return job, err
	}
	var err error
	if job.Data, err = a.data(ctx, p, args); err != nil {
		return job, err
	}
	if p.id != "" {
		if job.ID, err = holdfast.ParseID(p.id); err != nil {
			return job, err
		}
	}
	switch p.onDuplicate {
	case "keep-first":
	case "replace":
		job.OnDuplicate = holdfast.Replace
	case "refuse":
		job.OnDuplicate = holdfast.Refuse
	default:
		return job, usagef("--on-duplicate is %s; allowed are keep-first, replace and refuse", quote(p.onDuplicate))
	}
	switch {
	case p.hasUnique && p.unique == "":
		return job, usagef("--unique needs a key of at least one character")
	case p.hasDuplicate && !p.hasUnique:
		return job, usagef("--on-duplicate says what to do about a key; name it with --unique KEY")
	case p.hasAttempts && p.maxAttempts < 1:
		return job, usagef("--max-attempts is %d; allowed are 1 to %d", p.maxAttempts, holdfast.MaxAttemptsBound)
	case p.hasRun && p.maxRun <= 0:
		return job, usagef("--max-run must be longer than nothing")
	}
	return job, job.Check()
}

// data gives the job's data: from the flag, stdin or the command line.
func (a *app) data(ctx context.Context, p *put, args []string) ([]byte, error) {
	queue := args[0]
	switch {
	case p.hasText && len(args) > 1:
		return nil, usagef("data comes from JSON or from --text, not from both")
	case p.hasText:
		return a.plainText(ctx, p.text)
	case len(args) < 2:
		return nil, usagef("what is the job's data? holdfast put %s JSON, or - to read it from stdin; for plain text: put %s --text abcdefghij", queue, queue)
	case args[1] != "-":
		return checkJSON(queue, args[1], "put "+queue+" --text "+shellWord(args[1]))
	}
	text, err := a.stdin(ctx)
	if err != nil {
		return nil, err
	}
	return checkJSON(queue, text, "put "+queue+" --text -")
}

// plainText gives text as a JSON string: the word, or stdin with -, less a last end of line as in a shell's $(…).
func (a *app) plainText(ctx context.Context, word string) ([]byte, error) {
	if word == "-" {
		text, err := a.stdin(ctx)
		if err != nil {
			return nil, err
		}
		word = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	}
	if !utf8.ValidString(word) {
		return nil, usagef("--text is not UTF-8")
	}
	text, err := encode(word)
	return []byte(strings.TrimSuffix(string(text), "\n")), err
}

// stdin reads all of it, up to the bound of a job's data. It ends with the context, whoever is still typing.
func (a *app) stdin(ctx context.Context) (string, error) {
	type answer struct {
		text []byte
		err  error
	}
	read := make(chan answer, 1)
	go func() {
		text, err := io.ReadAll(io.LimitReader(a.in, holdfast.MaxDataBytes+1))
		read <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case got := <-read:
		switch {
		case got.err != nil:
			return "", fmt.Errorf("read stdin: %w", got.err)
		case len(got.text) > holdfast.MaxDataBytes:
			return "", fmt.Errorf("%w: stdin has more than %d bytes; put large data in a file and its name in the job", holdfast.ErrTooLarge, holdfast.MaxDataBytes)
		}
		return string(got.text), nil
	}
}

// checkJSON gives the text without the space around it if it is one JSON value; instead is the command for plain text.
func checkJSON(queue, text, instead string) ([]byte, error) {
	text = strings.TrimSpace(text)
	var v json.RawMessage
	err := json.Unmarshal([]byte(text), &v)
	switch {
	case text == "":
		return nil, usagef("no data; a job carries one JSON value, such as null")
	case err == nil && utf8.ValidString(text):
		return []byte(text), nil
	case err == nil:
		return nil, usagef("not UTF-8, as JSON must be")
	case strings.ContainsAny(text[:1], `{[`):
		return nil, usagef(`not JSON: %s; quote it for the shell: '{"name":"Ada"}'`, clean(err.Error()))
	}
	return nil, usagef("not JSON; for plain text: %s", instead)
}

// shellWord shows a word as a person would type it in a shell.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._/:@%+=,-", r)
	}
	shown := brief(s, 60)
	if shown != s || strings.Contains(s, "'") {
		return "TEXT"
	}
	if strings.TrimFunc(s, plain) == "" && !strings.HasPrefix(s, "-") {
		return s
	}
	return "'" + s + "'"
}
