package storetest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
)

var insertPromises = []promise{
	{"a put job waits and is as it was put", insertKeepsFields},
	{"data is kept as given", insertKeepsData},
	{"a delay is counted from the store's now", insertDelays},
	{"a time in the past is due at once", insertPast},
	{"times are kept to the millisecond", insertMilliseconds},
	{"a batch of 10,000 is put in one step", insertFullBatch},
	{"repeating a put counts once", insertRepeats},
	{"another job with the same id is refused", insertOtherJobSameID},
	{"a batch is put whole or not at all", insertAllOrNone},
	{"an id twice in a batch is one job", insertSameIDInBatch},
	{"a unique key keeps the first job", insertKeepFirst},
	{"a unique key can refuse", insertRefuse},
	{"a unique key can replace", insertReplace},
	{"replace resets failures and keeps attempts", insertReplaceKeepsAttempts},
	{"a running job is not replaced", insertReplaceRunning},
	{"a unique key is held until the end and free after it", insertKeyHeld},
	{"a unique key belongs to its queue", insertKeyPerQueue},
	{"unique keys count within a batch", insertKeysInBatch},
	{"a job is never its own duplicate", insertKeyOwnDuplicate},
	{"different keys stay different", insertHostileKeys},
	{"marks are written in the same step", insertMarks},
}

func insertKeepsFields(f *fixture) {
	parent := holdfast.NewID()
	startBy := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	n := job(func(n *holdfast.NewJob) {
		n.Priority, n.MaxAttempts, n.MaxRun = 7, 5, 90*time.Second
		n.StartBy, n.UniqueKey, n.Parent = startBy, "key", parent
	})
	i := f.show(f.put(n)[0])
	f.equal("id", i.ID, n.ID)
	f.equal("queue", i.Queue, queue)
	f.equal("state", i.State, holdfast.Waiting)
	f.equal("why", i.Why, holdfast.ReasonNone)
	f.equal("priority", i.Priority, 7)
	f.equal("max attempts", i.MaxAttempts, 5)
	f.equal("max run", i.MaxRun, 90*time.Second)
	f.equal("unique key", i.UniqueKey, "key")
	f.equal("parent", i.Parent, parent)
	f.equal("start-by is kept", i.StartBy.Equal(startBy), true)
	f.equal("fence, attempt, failures, deaths, crashes", []int{int(i.Fence), i.Attempt, i.Failures, i.Deaths, i.Crashes}, []int{0, 0, 0, 0, 0})
	f.near("made at", i.MadeAt, time.Now())
	f.equal("run at is made at", i.RunAt.Equal(i.MadeAt), true)
	f.equal("has not started, ended, no lease", []bool{i.StartedAt.IsZero(), i.EndedAt.IsZero(), i.LeaseUntil.IsZero()}, []bool{true, true, true})
	f.equal("data", string(i.Data), string(n.Data))
}

func insertKeepsData(f *fixture) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for name, data := range map[string][]byte{
		"nothing":           {},
		"every byte":        all,
		"a zero byte":       {0},
		"not UTF-8":         []byte("\xff\xfe\xed\xa0\x80"),
		"JSON as written":   []byte(`{"b":1, "a":1.0e2,"a":"\u0000", "n":12345678901234567890}`),
		"511 bytes":         bytes.Repeat([]byte("x"), 511),
		"512 bytes":         bytes.Repeat([]byte("x"), 512),
		"513 bytes":         bytes.Repeat([]byte("x"), 513),
		"one more mebibyte": bytes.Repeat(all, holdfast.MaxDataBytes/256),
	} {
		id := f.putOne(func(n *holdfast.NewJob) { n.Data = data })
		d := f.take()
		f.equal(name+" when taken", bytes.Equal(d.Info.Data, data), true)
		f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone, Result: data})
		i := f.show(id)
		f.equal(name+" when shown", bytes.Equal(i.Data, data), true)
		f.equal(name+" as result", bytes.Equal(i.Result, data), true)
	}
}

func insertDelays(f *fixture) {
	id := f.putOne(func(n *holdfast.NewJob) { n.After = time.Hour })
	i := f.state(id, holdfast.Scheduled, holdfast.ReasonNone)
	f.equal("delay", i.RunAt.Sub(i.MadeAt), time.Hour)
	f.none()
}

func insertPast(f *fixture) {
	at := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	i := f.state(f.putOne(func(n *holdfast.NewJob) { n.RunAt = at }), holdfast.Waiting, holdfast.ReasonNone)
	f.equal("run at is kept", i.RunAt.Equal(at), true)
}

func insertMilliseconds(f *fixture) {
	at := time.Now().Add(time.Hour).Truncate(time.Second).Add(123*time.Millisecond + 456*time.Microsecond)
	i := f.show(f.putOne(func(n *holdfast.NewJob) { n.RunAt = at }))
	f.equal("run at is cut to milliseconds", i.RunAt.Equal(at.Truncate(time.Millisecond)), true)
}

func insertFullBatch(f *fixture) {
	if testing.Short() {
		f.Skip("short mode: 10,000 jobs take a moment")
	}
	f.put(jobs(holdfast.MaxBatchJobs, nil)...)
	f.equal("waiting", f.counts(queue).Of(holdfast.Waiting), int64(holdfast.MaxBatchJobs))
}

func insertRepeats(f *fixture) {
	n := job(func(n *holdfast.NewJob) { n.UniqueKey, n.OnDuplicate = "key", holdfast.Refuse })
	again := func(when string) {
		f.Helper()
		f.equal("repeated "+when, f.insert(n)[0], holdfast.Inserted{ID: n.ID, Made: true})
		f.equal("jobs", f.total(), int64(1))
	}
	f.put(n)
	again("while it waits")
	d := f.take()
	again("while it runs")
	f.done(d)
	again("when it is done")
	f.state(n.ID, holdfast.Done, holdfast.ReasonNone)
}

func insertOtherJobSameID(f *fixture) {
	n := job(nil)
	f.put(n)
	other := n
	other.Data = []byte("other")
	elsewhere := n
	elsewhere.Queue = "elsewhere"
	for what, n := range map[string]holdfast.NewJob{"other data": other, "other queue": elsewhere} {
		a := f.insert(n)[0]
		f.is(what, a.Err, holdfast.ErrDuplicate)
		f.equal(what+": made", a.Made, false)
	}
	f.equal("data stays", string(f.show(n.ID).Data), string(n.Data))
	f.equal("jobs", f.total(), int64(1))
}

func insertAllOrNone(f *fixture) {
	key := func(n *holdfast.NewJob) { n.UniqueKey, n.OnDuplicate = "key", holdfast.Refuse }
	first := f.putOne(key)
	batch := []holdfast.NewJob{job(nil), job(key), job(nil)}
	answers := f.insert(batch...)
	f.is("the refused", answers[1].Err, holdfast.ErrDuplicate)
	f.equal("the refused names the holder", answers[1].ID, first)
	for _, i := range []int{0, 2} {
		f.is("its neighbour", answers[i].Err, nil)
		f.equal("its neighbour is made", answers[i].Made, false)
		_, _, err := f.Store.Show(f.ctx, batch[i].ID)
		f.is("its neighbour shown", err, holdfast.ErrNotFound)
	}
	f.equal("jobs", f.total(), int64(1))
}

func insertSameIDInBatch(f *fixture) {
	n := job(nil)
	f.put(n, n, job(nil))
	f.equal("jobs", f.total(), int64(2))
	other := job(func(o *holdfast.NewJob) { o.Data = []byte("a") })
	twin := other
	twin.Data = []byte("b")
	answers := f.insert(other, twin)
	f.is("same id, other data", answers[1].Err, holdfast.ErrDuplicate)
	f.equal("jobs", f.total(), int64(2))
}

func insertKeepFirst(f *fixture) {
	key := func(n *holdfast.NewJob) { n.UniqueKey = "key" }
	first := f.putOne(key)
	second := job(key)
	second.Data = []byte("second")
	f.equal("second", f.insert(second)[0], holdfast.Inserted{ID: first})
	f.equal("the first stays", string(f.show(first).Data), `{"n":1}`)
	f.equal("jobs", f.total(), int64(1))
}

func insertRefuse(f *fixture) {
	first := f.putOne(func(n *holdfast.NewJob) { n.UniqueKey = "key" })
	a := f.insert(job(func(n *holdfast.NewJob) { n.UniqueKey, n.OnDuplicate = "key", holdfast.Refuse }))[0]
	f.is("second", a.Err, holdfast.ErrDuplicate)
	f.equal("it names the holder", a.ID, first)
	f.equal("jobs", f.total(), int64(1))
}

func insertReplace(f *fixture) {
	first := f.putOne(func(n *holdfast.NewJob) { n.UniqueKey = "key" })
	startBy := time.Now().Add(5 * time.Hour).Truncate(time.Millisecond)
	next := job(func(n *holdfast.NewJob) {
		n.UniqueKey, n.OnDuplicate, n.Data = "key", holdfast.Replace, bytes.Repeat([]byte("new"), 1000)
		n.After, n.StartBy, n.Priority, n.MaxAttempts, n.MaxRun = time.Hour, startBy, 3, 4, time.Minute
	})
	f.equal("answer", f.insert(next)[0], holdfast.Inserted{ID: first, Replaced: true})
	i := f.state(first, holdfast.Scheduled, holdfast.ReasonNone)
	f.equal("data", bytes.Equal(i.Data, next.Data), true)
	f.equal("priority, max attempts, max run", []any{i.Priority, i.MaxAttempts, i.MaxRun}, []any{3, 4, time.Minute})
	f.equal("start-by", i.StartBy.Equal(startBy), true)
	f.near("run at", i.RunAt, time.Now().Add(time.Hour))
	f.equal("jobs", f.total(), int64(1))

	next.ID, next.After, next.Data = holdfast.NewID(), 0, []byte("newer")
	f.equal("answer", f.insert(next)[0], holdfast.Inserted{ID: first, Replaced: true})
	f.equal("due again", f.state(first, holdfast.Waiting, holdfast.ReasonNone).RunAt.After(time.Now()), false)
	f.equal("taken with the new data", string(f.take().Info.Data), "newer")
}

func insertReplaceKeepsAttempts(f *fixture) {
	key := func(n *holdfast.NewJob) { n.UniqueKey, n.OnDuplicate = "key", holdfast.Replace }
	id := f.putOne(key)
	f.fail(f.take(), false)
	f.insert(job(key))
	i := f.state(id, holdfast.Waiting, holdfast.ReasonNone)
	f.equal("failures", i.Failures, 0)
	f.equal("attempt", i.Attempt, 1)
	f.equal("fence", i.Fence, int64(1))
	d := f.take()
	f.equal("next attempt", d.Info.Attempt, 2)
	f.equal("next fence", d.Fence, int64(2))
	f.equal("attempts", len(f.attempts(id)), 2)
}

func insertReplaceRunning(f *fixture) {
	key := func(n *holdfast.NewJob) { n.UniqueKey, n.OnDuplicate = "key", holdfast.Replace }
	id := f.putOne(key)
	d := f.take()
	other := job(nil)
	answers := f.insert(other, job(key))
	f.is("replace", answers[1].Err, holdfast.ErrDuplicate)
	f.equal("replaced", answers[1].Replaced, false)
	f.equal("jobs", f.total(), int64(1))
	f.state(id, holdfast.Running, holdfast.ReasonNone)
	f.done(d)
}

func insertKeyHeld(f *fixture) {
	key := func(n *holdfast.NewJob) { n.UniqueKey = "key" }
	ends := map[string]func(id holdfast.ID){
		"done":   func(holdfast.ID) { f.done(f.take()) },
		"failed": func(holdfast.ID) { f.fail(f.take(), true) },
		"cancelled while it waits": func(id holdfast.ID) {
			f.act(holdfast.ActionCancel, id)
		},
		"deleted": func(id holdfast.ID) { f.act(holdfast.ActionDelete, id) },
		"cancelled while it runs": func(id holdfast.ID) {
			d := f.take()
			f.act(holdfast.ActionCancel, id)
			f.equal("asked to cancel, still held", f.insert(job(key))[0].ID, id)
			f.release(d)
		},
		"cancelled while scheduled": func(id holdfast.ID) {
			f.finished(holdfast.Outcome{Lease: f.take().Lease, Kind: holdfast.OutcomeReleased, After: time.Hour})
			f.equal("scheduled, still held", f.insert(job(key))[0].ID, id)
			f.act(holdfast.ActionCancel, id)
		},
	}
	for how, end := range ends {
		n := job(key)
		f.equal(how+": free before", f.insert(n)[0].Made, true)
		f.equal(how+": held", f.insert(job(key))[0], holdfast.Inserted{ID: n.ID})
		end(n.ID)
	}
	f.equal("free after the last", f.insert(job(key))[0].Made, true)
}

func insertKeyPerQueue(f *fixture) {
	f.putOne(func(n *holdfast.NewJob) { n.UniqueKey = "key" })
	f.putOne(func(n *holdfast.NewJob) { n.UniqueKey, n.Queue = "key", "other" })
}

func insertKeysInBatch(f *fixture) {
	with := func(key string, on holdfast.OnDuplicate, data string) holdfast.NewJob {
		return job(func(n *holdfast.NewJob) { n.UniqueKey, n.OnDuplicate, n.Data = key, on, []byte(data) })
	}
	keep := with("keep", holdfast.KeepFirst, "first")
	swap := with("swap", holdfast.Replace, "first")
	answers := f.insert(keep, with("keep", holdfast.KeepFirst, "second"), swap, with("swap", holdfast.Replace, "second"))
	f.equal("answers", answers, []holdfast.Inserted{
		{ID: keep.ID, Made: true}, {ID: keep.ID}, {ID: swap.ID, Made: true}, {ID: swap.ID, Replaced: true},
	})
	f.equal("kept", string(f.show(keep.ID).Data), "first")
	f.equal("replaced", string(f.show(swap.ID).Data), "second")

	answers = f.insert(with("refuse", holdfast.Refuse, "1"), with("refuse", holdfast.Refuse, "2"))
	f.is("refused in its own batch", answers[1].Err, holdfast.ErrDuplicate)
	f.equal("jobs", f.total(), int64(2))
}

// insertKeyOwnDuplicate leads a job with a unique key through each way back to waiting.
func insertKeyOwnDuplicate(f *fixture) {
	key := func(n *holdfast.NewJob) { n.UniqueKey, n.OnDuplicate, n.After = "key", holdfast.Refuse, time.Hour }
	id := f.putOne(key)
	back := map[string]func(d holdfast.Delivery){
		"a failure": func(d holdfast.Delivery) {
			f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeFailed, Error: "no luck", After: time.Hour})
		},
		"a release": func(d holdfast.Delivery) {
			f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeReleased, After: time.Hour})
		},
		"a death":  func(holdfast.Delivery) { f.die(f.consumer) },
		"a retry":  func(d holdfast.Delivery) { f.fail(d, true); f.act(holdfast.ActionRetry, id) },
		"a reopen": func(d holdfast.Delivery) { f.done(d); f.act(holdfast.ActionRetry, id) },
	}
	for way, send := range back {
		f.Shift(2 * time.Hour)
		d := f.take()
		f.equal("after "+way+": taken", d.Job, id)
		send(d)
		a := f.insert(job(key))[0]
		f.is("after "+way+": another", a.Err, holdfast.ErrDuplicate)
		f.equal("after "+way+": it holds its key", a.ID, id)
	}
	f.equal("jobs", f.total(), int64(1))
}

func insertHostileKeys(f *fixture) {
	keys := []string{"a", "A", "a ", " a", "a\x00", "a\x00b", "ä", "a\u0308", "%", "_", "a'--", `"; drop table jobs`, "\xff", "\xfe", "1", "01", "1.0"}
	for _, k := range keys {
		f.putOne(func(n *holdfast.NewJob) { n.UniqueKey = k })
	}
	f.equal("jobs", f.total(), int64(len(keys)))
	for _, k := range keys {
		f.equal(fmt.Sprintf("key %q is held", k), f.insert(job(func(n *holdfast.NewJob) { n.UniqueKey = k }))[0].Made, false)
	}
}

func insertMarks(f *fixture) {
	mark := func(value string, list ...holdfast.NewJob) {
		_, err := f.Store.Insert(f.ctx, holdfast.Insert{Jobs: list, Marks: []holdfast.Mark{{Name: "import", Value: []byte(value)}}})
		f.must("insert", err)
	}
	read := func() string {
		r, err := f.Store.Records(f.ctx, holdfast.RecordsQuery{Marks: []string{"import"}})
		f.must("records", err)
		f.equal("marks", len(r.Marks), 1)
		return string(r.Marks[0].Value)
	}
	key := func(n *holdfast.NewJob) { n.UniqueKey, n.OnDuplicate = "key", holdfast.Refuse }
	mark("1", job(key))
	f.equal("mark", read(), "1")
	mark("2", job(key))
	f.equal("mark of a refused batch", read(), "1")
	mark("3")
	f.equal("mark without jobs", read(), "3")
}
