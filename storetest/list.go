package storetest

import (
	"fmt"
	"time"

	"github.com/holdfastq/holdfast"
)

var listPromises = []promise{
	{"a listing is newest first", listOrder},
	{"pages meet without gap or overlap", listPages},
	{"new jobs do not disturb a listing under way", listStable},
	{"a page is bounded", listBound},
	{"each filter means what Filter.Match says", listFilters},
	{"data is left out unless asked for", listData},
	{"what is not there is not found", listNotFound},
	{"an empty store lists nothing", listEmpty},
	{"counts are exact in every state", listCounts},
	{"counts name the pause and the oldest waiting job", listCountsDetails},
	{"figures are told per minute and queue", listStats},
	{"figures can be asked for by queue, time and step", listStatsQuery},
}

func listOrder(f *fixture) {
	ids := f.put(jobs(3, func(n *holdfast.NewJob) { n.RunAt = time.Now().Add(-time.Hour) })...)
	ids = append(ids, f.put(job(nil))...)
	list := f.all(holdfast.Filter{})
	f.equal("jobs", len(list), 4)
	for i, info := range list {
		f.equal("order", info.ID, ids[3-i])
	}
}

// pages lists in pages of a size and gives the ids.
func (f *fixture) pages(filter holdfast.Filter, limit int, between func()) (ids []holdfast.ID) {
	f.Helper()
	l := holdfast.List{Filter: filter, Limit: limit}
	for {
		page, err := f.Store.List(f.ctx, l)
		f.must("list", err)
		if len(page.Jobs) > limit {
			f.Fatalf("page of %d jobs, limit %d", len(page.Jobs), limit)
		}
		for _, i := range page.Jobs {
			ids = append(ids, i.ID)
		}
		if page.Next == "" {
			return ids
		}
		if l.After = page.Next; len(ids) > 10_000 {
			f.Fatal("it never ends")
		}
		between()
	}
}

func reversed(ids []holdfast.ID) []holdfast.ID {
	out := make([]holdfast.ID, len(ids))
	for i, id := range ids {
		out[len(ids)-1-i] = id
	}
	return out
}

func listPages(f *fixture) {
	want := reversed(f.put(jobs(20, nil)...))
	f.put(jobs(7, func(n *holdfast.NewJob) { n.Queue = "other" })...)
	for _, limit := range []int{1, 6, 7, 10, 19, 20, 21} {
		got := f.pages(holdfast.Filter{Queues: []string{queue}}, limit, func() {})
		f.equal(fmt.Sprint("pages of ", limit), got, want)
	}
}

func listStable(f *fixture) {
	want := reversed(f.put(jobs(20, nil)...))
	got := f.pages(holdfast.Filter{}, 6, func() {
		f.putOne(nil)
		f.take()
	})
	f.equal("jobs", got, want)
}

func listBound(f *fixture) {
	f.put(jobs(holdfast.MaxPage+1, nil)...)
	f.equal("no limit", len(f.all(holdfast.Filter{})), holdfast.MaxPage)
	page, err := f.Store.List(f.ctx, holdfast.List{Limit: 2 * holdfast.MaxPage})
	f.must("list", err)
	f.equal("a limit over the bound", []any{len(page.Jobs), page.Next != ""}, []any{holdfast.MaxPage, true})
}

// zoo makes a job in each state, in several queues and at several times, and gives them all, newest first.
func (f *fixture) zoo() []holdfast.Info {
	f.Helper()
	done, failed, cancelled := f.endings()
	f.Shift(time.Hour)
	f.endings()
	d := f.takeNew()
	f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeFailed, Final: true, Error: "disk full", Attached: true, Result: []byte("x")})
	f.takeNew()
	f.put(jobs(2, func(n *holdfast.NewJob) { n.Queue = "other" })...)
	f.putOne(func(n *holdfast.NewJob) { n.After = time.Hour })
	all := f.all(holdfast.Filter{})
	f.equal("jobs", len(all), 11)
	f.equal("the first three are there", []holdfast.ID{all[8].ID, all[9].ID, all[10].ID}, []holdfast.ID{cancelled, failed, done})
	return all
}

func listFilters(f *fixture) {
	all := f.zoo()
	half := time.Now().Add(-30 * time.Minute)
	filters := []holdfast.Filter{
		{},
		{IDs: []holdfast.ID{all[1].ID, holdfast.NewID(), all[5].ID, all[1].ID}},
		{Queues: []string{"other"}},
		{Queues: []string{"other", queue, "none"}},
		{Queues: []string{"none"}},
		{MadeSince: half},
		{MadeBefore: half},
		{MadeSince: all[10].MadeAt, MadeBefore: all[8].MadeAt},
		{EndedBefore: half},
		{EndedBefore: time.Now().Add(time.Hour)},
		{Cause: holdfast.CauseOf(queue, "no luck")},
		{Cause: holdfast.CauseOf(queue, "disk full")},
		{Cause: 1 << 62},
		{Attached: true},
		{States: []holdfast.State{holdfast.Done, holdfast.Failed}, MadeSince: half, Queues: []string{queue}},
		{IDs: []holdfast.ID{all[0].ID, all[2].ID, all[10].ID}, States: []holdfast.State{holdfast.Done}},
	}
	for _, s := range holdfast.States {
		filters = append(filters, holdfast.Filter{States: []holdfast.State{s}})
	}
	for _, filter := range filters {
		var want []holdfast.ID
		for i := range all {
			if filter.Match(&all[i]) {
				want = append(want, all[i].ID)
			}
		}
		f.equal(filter.String(), f.pages(filter, 2, func() {}), want)
	}
}

func listData(f *fixture) {
	d := f.takeNew()
	f.finished(holdfast.Outcome{Lease: d.Lease, Kind: holdfast.OutcomeDone, Result: []byte("result")})
	i := f.all(holdfast.Filter{})[0]
	f.equal("without", []bool{i.Data == nil, i.Result == nil}, []bool{true, true})
	page, err := f.Store.List(f.ctx, holdfast.List{Data: true})
	f.must("list", err)
	f.equal("with", []string{string(page.Jobs[0].Data), string(page.Jobs[0].Result)}, []string{`{"n":1}`, "result"})
}

func listNotFound(f *fixture) {
	_, _, err := f.Store.Show(f.ctx, holdfast.NewID())
	f.is("show", err, holdfast.ErrNotFound)
}

func listEmpty(f *fixture) {
	page, err := f.Store.List(f.ctx, holdfast.List{})
	f.must("list", err)
	f.equal("page", []any{len(page.Jobs), page.Next}, []any{0, holdfast.Cursor("")})
	counts, err := f.Store.Counts(f.ctx)
	f.must("counts", err)
	f.equal("counts", len(counts), 0)
	stats, err := f.Store.Stats(f.ctx, holdfast.StatsQuery{})
	f.must("stats", err)
	f.equal("stats", len(stats), 0)
}

func listCounts(f *fixture) {
	all := f.zoo()
	want := map[string]*[6]int64{queue: {}, "other": {}}
	for _, i := range all {
		want[i.Queue][i.State]++
	}
	list, err := f.Store.Counts(f.ctx)
	f.must("counts", err)
	f.equal("queues in order", []string{list[0].Queue, list[1].Queue}, []string{"other", queue})
	for _, c := range list {
		f.equal("counts of "+c.Queue, c.States, *want[c.Queue])
	}
	f.act(holdfast.ActionDelete, all[8].ID, all[9].ID)
	f.Shift(time.Hour)
	f.purge(holdfast.Purge{})
	f.equal("after delete and purge", f.counts(queue).States, [6]int64{1, 0, 1, 0, 1, 0})
}

func listCountsDetails(f *fixture) {
	c := f.counts(queue)
	f.equal("before", []bool{c.PausedAt.IsZero(), c.Oldest.IsZero()}, []bool{true, true})
	at := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	f.putOne(func(n *holdfast.NewJob) { n.Priority = 9 })
	f.putOne(func(n *holdfast.NewJob) { n.RunAt = at })
	f.amend(holdfast.Amend{Action: holdfast.ActionPause, Queue: queue, Actor: "grace"})
	c = f.counts(queue)
	f.equal("oldest", c.Oldest.Equal(at), true)
	f.near("paused at", c.PausedAt, time.Now())
	f.equal("paused by", c.PausedBy, "grace")
	f.amend(holdfast.Amend{Action: holdfast.ActionPause, Queue: "never seen", Actor: "grace"})
	f.equal("a queue without jobs", f.counts("never seen").PausedBy, "grace")
}

// figures sums up the usual queue's rollups, without their histograms.
func (f *fixture) figures() (sum [6]int64) {
	f.Helper()
	list, err := f.Store.Stats(f.ctx, holdfast.StatsQuery{Queue: queue})
	f.must("stats", err)
	for _, r := range list {
		for i, n := range []int64{r.Made, r.Started, r.Done, r.Failed, r.Ended, r.Returned} {
			sum[i] += n
		}
	}
	return sum
}

func listStats(f *fixture) {
	f.endings()
	f.fail(f.takeNew(), false)
	d := f.take()
	f.die(f.consumer)
	f.finished(holdfast.Outcome{Lease: f.take().Lease, Kind: holdfast.OutcomeReleased, Unrun: true})
	f.finished(holdfast.Outcome{Lease: f.take().Lease, Kind: holdfast.OutcomeDone, Took: 7 * time.Second})
	f.state(d.Job, holdfast.Done, holdfast.ReasonNone)
	f.equal("made, started, done, failed, ended, returned", f.figures(), [6]int64{4, 6, 2, 2, 4, 1})

	list, err := f.Store.Stats(f.ctx, holdfast.StatsQuery{Queue: queue, Step: 24 * time.Hour})
	f.must("stats", err)
	var waited, took holdfast.Histogram
	for _, r := range list {
		waited.Merge(r.Waited)
		took.Merge(r.Took)
		f.equal("whole steps", r.At.Unix()%(24*60*60), int64(0))
	}
	f.equal("attempts timed", []int64{waited.Count(), took.Count()}, []int64{4, 4})
	longest := took.Quantile(1)
	f.equal("the longest is about 7 s", longest > 6*time.Second && longest < 8*time.Second, true)
}

func listStatsQuery(f *fixture) {
	f.put(jobs(3, nil)...)
	f.Shift(5 * time.Hour)
	f.put(jobs(2, nil)...)
	f.put(jobs(4, func(n *holdfast.NewJob) { n.Queue = "other" })...)
	made := func(q holdfast.StatsQuery) map[string]int64 {
		f.Helper()
		list, err := f.Store.Stats(f.ctx, q)
		f.must("stats", err)
		sum := map[string]int64{}
		for i, r := range list {
			sum[r.Queue] += r.Made
			if i > 0 && (list[i-1].Queue > r.Queue || list[i-1].Queue == r.Queue && !list[i-1].At.Before(r.At)) {
				f.Errorf("not in order: %v %v", list[i-1].At, r.At)
			}
		}
		return sum
	}
	now := time.Now()
	f.equal("all", made(holdfast.StatsQuery{}), map[string]int64{queue: 5, "other": 4})
	f.equal("one queue", made(holdfast.StatsQuery{Queue: "other"}), map[string]int64{"other": 4})
	f.equal("since", made(holdfast.StatsQuery{Since: now.Add(-time.Hour)}), map[string]int64{queue: 2, "other": 4})
	f.equal("until", made(holdfast.StatsQuery{Since: now.Add(-9 * time.Hour), Until: now.Add(-time.Hour)}), map[string]int64{queue: 3})
	f.equal("steps", made(holdfast.StatsQuery{Step: time.Hour}), map[string]int64{queue: 5, "other": 4})
}
