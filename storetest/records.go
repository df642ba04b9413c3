package storetest

import (
	"time"

	"github.com/holdfastq/holdfast"
)

var recordsPromises = []promise{
	{"consumers are seen until they end", recordsConsumers},
	{"an ended consumer is still found by its id", recordsEnded},
	{"an attempt names its consumer's host", recordsHost},
	{"activity is told latest first", recordsActivity},
	{"a mark keeps its value", recordsMarks},
	{"what is not asked for is left out", recordsNothing},
}

func (f *fixture) records(q holdfast.RecordsQuery) holdfast.Records {
	f.Helper()
	r, err := f.Store.Records(f.ctx, q)
	f.must("records", err)
	return r
}

func (f *fixture) record(r holdfast.Records) {
	f.Helper()
	f.must("record", f.Store.Record(f.ctx, r))
}

func aConsumer(name string) holdfast.Consumer {
	return holdfast.Consumer{
		ID: holdfast.NewID(), Name: name, Host: "host-1", PID: 4711, Version: "v1.2.3",
		Queues: []string{"a", "b"}, StartedAt: time.Now().Add(-time.Hour).Truncate(time.Millisecond), MaxCrashes: 3,
	}
}

func recordsConsumers(f *fixture) {
	a, b := aConsumer("a"), aConsumer("b")
	b.Unattended = true
	f.record(holdfast.Records{Consumers: []holdfast.Consumer{a, b}})
	f.Shift(time.Minute)
	a.Queues = []string{"c"}
	f.record(holdfast.Records{Consumers: []holdfast.Consumer{a}})
	list := f.records(holdfast.RecordsQuery{Consumers: true}).Consumers
	f.equal("consumers", len(list), 2)
	got := map[holdfast.ID]holdfast.Consumer{list[0].ID: list[0], list[1].ID: list[1]}
	f.near("a was seen", got[a.ID].SeenAt, time.Now())
	f.equal("b was not seen since", got[a.ID].SeenAt.Sub(got[b.ID].SeenAt) >= time.Minute, true)
	for _, want := range []holdfast.Consumer{a, b} {
		c := got[want.ID]
		f.near("started at", c.StartedAt, want.StartedAt.Add(-time.Minute))
		c.StartedAt, c.SeenAt, want.StartedAt = time.Time{}, time.Time{}, time.Time{}
		f.equal("consumer", c, want)
	}
	f.equal("just one", f.records(holdfast.RecordsQuery{Consumer: b.ID}).Consumers[0].Name, "b")
	f.equal("unknown", len(f.records(holdfast.RecordsQuery{Consumer: holdfast.NewID()}).Consumers), 0)
}

func recordsEnded(f *fixture) {
	a := aConsumer("a")
	f.record(holdfast.Records{Consumers: []holdfast.Consumer{a}})
	a.Ended = true
	f.record(holdfast.Records{Consumers: []holdfast.Consumer{a}})
	f.equal("consumers", len(f.records(holdfast.RecordsQuery{Consumers: true}).Consumers), 0)
	list := f.records(holdfast.RecordsQuery{Consumer: a.ID}).Consumers
	f.equal("by its id", []any{len(list), list[0].Ended}, []any{1, true})
}

func recordsHost(f *fixture) {
	a := aConsumer("a")
	f.record(holdfast.Records{Consumers: []holdfast.Consumer{a}})
	id := f.putOne(nil)
	f.fail(f.takeBy(a.ID), false)
	f.take()
	attempts := f.attempts(id)
	f.equal("hosts", []string{attempts[0].Host, attempts[1].Host}, []string{"host-1", ""})
}

func recordsActivity(f *fixture) {
	id := f.putOne(nil)
	f.amend(holdfast.Amend{Action: holdfast.ActionCancel, Filter: holdfast.Filter{IDs: []holdfast.ID{id}}, Actor: "ada", Via: "command"})
	f.amend(holdfast.Amend{Action: holdfast.ActionPause, Queue: queue, Actor: "grace", Via: "panel"})
	own := holdfast.Activity{ID: holdfast.NewID(), Actor: "cleaner", Via: "library", Action: "purge", What: "old jobs", Changed: 7, Skipped: 1}
	f.record(holdfast.Records{Activity: []holdfast.Activity{own}})
	list := f.records(holdfast.RecordsQuery{Activity: 10}).Activity
	f.equal("lines", len(list), 3)
	for _, a := range list {
		f.near("at", a.At, time.Now())
	}
	own.At = list[0].At
	f.equal("the library's own", list[0], own)
	f.equal("pause", []any{list[1].Actor, list[1].Via, list[1].Action, list[1].What, list[1].Changed}, []any{"grace", "panel", holdfast.ActionPause, queue, int64(1)})
	f.equal("cancel", []any{list[2].Actor, list[2].Via, list[2].Action, list[2].What, list[2].Changed}, []any{"ada", "command", holdfast.ActionCancel, id.String(), int64(1)})
	f.equal("at most", len(f.records(holdfast.RecordsQuery{Activity: 2}).Activity), 2)
}

func recordsMarks(f *fixture) {
	set := func(name string, value []byte) {
		f.record(holdfast.Records{Marks: []holdfast.Mark{{Name: name, Value: value}}})
	}
	get := func(names ...string) []holdfast.Mark { return f.records(holdfast.RecordsQuery{Marks: names}).Marks }
	set("a", []byte("1"))
	set("b", []byte{0, 255})
	set("a", []byte("2"))
	f.equal("marks in the order asked", get("b", "none", "a"), []holdfast.Mark{{Name: "b", Value: []byte{0, 255}}, {Name: "none"}, {Name: "a", Value: []byte("2")}})
	set("a", nil)
	f.equal("removed", get("a"), []holdfast.Mark{{Name: "a"}})
}

func recordsNothing(f *fixture) {
	f.record(holdfast.Records{Consumers: []holdfast.Consumer{aConsumer("a")}, Marks: []holdfast.Mark{{Name: "a", Value: []byte("1")}}})
	r := f.records(holdfast.RecordsQuery{})
	f.equal("records", []int{len(r.Consumers), len(r.Activity), len(r.Marks)}, []int{0, 0, 0})
}
