package cli

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/holdfastq/holdfast"
)

// The JSON of the command. Field names are stable: fields may come, none goes or changes its meaning. Times are
// RFC 3339 with milliseconds in UTC, left out where there is none; durations are milliseconds. See jsonTopic.

// stamp gives a time, or nil where there is none.
func stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	return &s
}

// millis gives a duration in milliseconds, with three decimals at most.
func millis(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}

// payload is data or a result: as it is if it is JSON, else as text, else in base 64.
func payload(b []byte) (raw json.RawMessage, text string, binary []byte) {
	switch {
	case len(b) == 0:
	case utf8.Valid(b) && json.Valid(b):
		raw = b
	case utf8.Valid(b):
		text = string(b)
	default:
		binary = b
	}
	return raw, text, binary
}

// jobView is a job.
type jobView struct {
	ID       string `json:"id"`
	Queue    string `json:"queue"`
	State    string `json:"state"`
	Why      string `json:"why,omitempty"`
	Priority int    `json:"priority"`

	Attempt     int     `json:"attempt"`
	Failures    int     `json:"failures"`
	MaxAttempts int     `json:"max_attempts,omitempty"`
	MaxRun      float64 `json:"max_run_ms,omitempty"`
	Fence       int64   `json:"fence"`
	Deaths      int     `json:"deaths,omitempty"`
	Crashes     int     `json:"crashes,omitempty"`
	UniqueKey   string  `json:"unique_key,omitempty"`
	Parent      string  `json:"parent,omitempty"`
	Consumer    string  `json:"consumer,omitempty"`

	MadeAt          *string `json:"made_at,omitempty"`
	RunAt           *string `json:"run_at,omitempty"`
	StartBy         *string `json:"start_by,omitempty"`
	StartedAt       *string `json:"started_at,omitempty"`
	EndedAt         *string `json:"ended_at,omitempty"`
	LeaseUntil      *string `json:"lease_until,omitempty"`
	CancelRequested *string `json:"cancel_requested_at,omitempty"`

	Waited   *float64 `json:"waited_ms,omitempty"`
	Took     *float64 `json:"took_ms,omitempty"`
	Progress float64  `json:"progress,omitempty"`
	Note     string   `json:"note,omitempty"`
	Error    string   `json:"error,omitempty"`
	Cause    string   `json:"cause,omitempty"`
	Attached bool     `json:"attached,omitempty"`

	Data         json.RawMessage `json:"data,omitempty"`
	DataText     string          `json:"data_text,omitempty"`
	DataBase64   []byte          `json:"data_base64,omitempty"`
	Result       json.RawMessage `json:"result,omitempty"`
	ResultText   string          `json:"result_text,omitempty"`
	ResultBase64 []byte          `json:"result_base64,omitempty"`

	Attempts []attemptView `json:"attempts,omitempty"` // of show alone
}

func viewJob(i *holdfast.Info) jobView {
	v := jobView{
		ID: i.ID.String(), Queue: i.Queue, State: i.State.String(), Why: string(i.Why), Priority: i.Priority,
		Attempt: i.Attempt, Failures: i.Failures, MaxAttempts: i.MaxAttempts, MaxRun: millis(i.MaxRun), Fence: i.Fence,
		Deaths: i.Deaths, Crashes: i.Crashes, UniqueKey: i.UniqueKey, Parent: i.Parent.String(), Consumer: i.Consumer.String(),
		MadeAt: stamp(i.MadeAt), RunAt: stamp(i.RunAt), StartBy: stamp(i.StartBy), StartedAt: stamp(i.StartedAt),
		EndedAt: stamp(i.EndedAt), LeaseUntil: stamp(i.LeaseUntil), CancelRequested: stamp(i.CancelRequested),
		Progress: i.Progress, Note: i.Note, Error: i.Error, Attached: i.Attached,
	}
	if i.Attempt > 0 {
		waited := millis(i.Waited)
		v.Waited = &waited
	}
	if i.Attempt > 0 && i.State != holdfast.Running {
		took := millis(i.Took)
		v.Took = &took
	}
	if i.Cause != 0 {
		v.Cause = fmt.Sprintf("%016x", i.Cause)
	}
	v.Data, v.DataText, v.DataBase64 = payload(i.Data)
	v.Result, v.ResultText, v.ResultBase64 = payload(i.Result)
	return v
}

// attemptView is one attempt of a job.
type attemptView struct {
	N         int      `json:"n"`
	Outcome   string   `json:"outcome,omitempty"` // left out while it runs
	Consumer  string   `json:"consumer,omitempty"`
	Host      string   `json:"host,omitempty"`
	StartedAt *string  `json:"started_at,omitempty"`
	EndedAt   *string  `json:"ended_at,omitempty"`
	Took      *float64 `json:"took_ms,omitempty"`
	Error     string   `json:"error,omitempty"`
	Log       string   `json:"log,omitempty"`
}

func viewAttempt(at *holdfast.Attempt) attemptView {
	v := attemptView{
		N: at.N, Outcome: at.Outcome.String(), Consumer: at.Consumer.String(), Host: at.Host,
		StartedAt: stamp(at.StartedAt), EndedAt: stamp(at.EndedAt), Error: at.Error, Log: string(at.Log),
	}
	if at.Outcome != holdfast.OutcomeNone {
		took := millis(at.Took)
		v.Took = &took
	}
	return v
}

// takenView is what get prints: all that a script needs.
type takenView struct {
	Lease       string          `json:"lease"`
	Fence       int64           `json:"fence"`
	ID          string          `json:"id"`
	Queue       string          `json:"queue"`
	Attempt     int             `json:"attempt"`
	Failures    int             `json:"failures"`
	MaxAttempts int             `json:"max_attempts"`
	LeaseUntil  *string         `json:"lease_until,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"`
	DataText    string          `json:"data_text,omitempty"`
	DataBase64  []byte          `json:"data_base64,omitempty"`
}

// putView is the answer of put.
type putView struct {
	ID       string `json:"id"`
	Made     bool   `json:"made"`     // this job is there because it was put
	Replaced bool   `json:"replaced"` // the job that holds the key got the data
}

// outcomeView is the answer of done, fail, release and extend: the job as it is now.
type outcomeView struct {
	ID              string  `json:"id"`
	State           string  `json:"state"`
	Why             string  `json:"why,omitempty"`
	Attempt         int     `json:"attempt"`
	Failures        int     `json:"failures"`
	MaxAttempts     int     `json:"max_attempts"`
	RunAt           *string `json:"run_at,omitempty"`
	LeaseUntil      *string `json:"lease_until,omitempty"`
	CancelRequested bool    `json:"cancel_requested,omitempty"`
}

// queueView is one line of queues.
type queueView struct {
	Queue     string  `json:"queue"`
	Scheduled int64   `json:"scheduled"`
	Waiting   int64   `json:"waiting"`
	Running   int64   `json:"running"`
	Done      int64   `json:"done"`
	Failed    int64   `json:"failed"`
	Cancelled int64   `json:"cancelled"`
	OldestAt  *string `json:"oldest_at,omitempty"` // since when its oldest waiting job is due
	Paused    bool    `json:"paused"`
	PausedAt  *string `json:"paused_at,omitempty"`
	PausedBy  string  `json:"paused_by,omitempty"`
}

func viewQueue(c holdfast.Counts) queueView {
	return queueView{
		Queue: c.Queue, Scheduled: c.Of(holdfast.Scheduled), Waiting: c.Of(holdfast.Waiting), Running: c.Of(holdfast.Running),
		Done: c.Of(holdfast.Done), Failed: c.Of(holdfast.Failed), Cancelled: c.Of(holdfast.Cancelled),
		OldestAt: stamp(c.Oldest), Paused: !c.PausedAt.IsZero(), PausedAt: stamp(c.PausedAt), PausedBy: c.PausedBy,
	}
}

// statsView is one line of stats.
type statsView struct {
	Queue    string    `json:"queue"`
	Since    *string   `json:"since"`
	Made     int64     `json:"made"`
	Started  int64     `json:"started"`
	Done     int64     `json:"done"`
	Failed   int64     `json:"failed_attempts"`
	Ended    int64     `json:"ended"`
	Returned int64     `json:"returned"`
	Waited   quantiles `json:"waited"`
	Took     quantiles `json:"took"`
}

type quantiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P95   float64 `json:"p95_ms"`
	P99   float64 `json:"p99_ms"`
}

func viewQuantiles(h holdfast.Histogram) quantiles {
	return quantiles{h.Count(), millis(h.Quantile(.5)), millis(h.Quantile(.95)), millis(h.Quantile(.99))}
}

// amendView is the answer of retry, cancel, delete and run-now.
type amendView struct {
	Action  string        `json:"action"`
	Changed int           `json:"changed"`
	Skipped []skippedView `json:"skipped"` // at most 1,000
}

type skippedView struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// activityView is one line of who did what.
type activityView struct {
	ID      string  `json:"id"`
	At      *string `json:"at"`
	Actor   string  `json:"actor"`
	Via     string  `json:"via"`
	Action  string  `json:"action"`
	What    string  `json:"what"`
	Changed int64   `json:"changed"`
	Skipped int64   `json:"skipped"`
}

// pauseView is the answer of pause and resume.
type pauseView struct {
	Queue  string `json:"queue"`
	Paused bool   `json:"paused"`
}

// sweptView is one look of the manager, purgedView one of the cleaner.
type sweptView struct {
	At        *string `json:"at"`
	Due       int     `json:"due"`
	Returned  int     `json:"returned"`
	SetAside  int     `json:"set_aside"`
	Cancelled int     `json:"cancelled"`
}

type purgedView struct {
	At      *string          `json:"at"`
	Removed int64            `json:"removed"`
	DryRun  bool             `json:"dry_run,omitempty"` // nothing was removed
	Queues  map[string]int64 `json:"queues,omitempty"`  // of a dry run
}

// versionView is the answer of version.
type versionView struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	System  string `json:"system"`
	SQLite  string `json:"sqlite"`
}
