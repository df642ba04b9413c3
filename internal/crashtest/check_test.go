//go:build unix

package crashtest

import (
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
)

// checker compares what the processes of a torture have written down with what the store says.
type checker struct {
	t     *testing.T
	store holdfast.Store
	died  *deaths
	runs  map[holdfast.ID][]Run
	pids  map[holdfast.ID]int // of consumers

	given    []time.Duration // from the death of a job's consumer until anybody could take it
	retaken  []time.Duration // until it was started again
	suspects []time.Duration // the same, of jobs that have had to wait until they were alone
	most     int             // crashes of a job that kills nobody
}

func checkTorture(t *testing.T, p place, store holdfast.Store, killer holdfast.ID, died *deaths, jobs int) {
	t.Helper()
	puts, err := ReadJournals(p.Dir, "put")
	if err != nil {
		t.Fatal(err)
	}
	if len(puts) != jobs {
		t.Errorf("%d Puts were answered, want %d", len(puts), jobs)
	}
	entries, err := ReadJournals(p.Dir, "run")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Job == killer {
			died.note(e.PID, e.At) // its last act
		}
	}
	runs, err := Runs(entries)
	if err != nil {
		t.Fatal(err)
	}
	c := &checker{t: t, store: store, died: died, runs: runs, pids: map[holdfast.ID]int{}}

	there := map[holdfast.ID]bool{}
	states := map[holdfast.State]int64{}
	for info, err := range holdfast.NewOperator(store, "test").Jobs(t.Context(), holdfast.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		there[info.ID] = true
		states[info.State]++
		if info.ID == killer {
			c.checkKiller(info)
		} else {
			c.check(info)
		}
	}
	for _, put := range puts {
		if !there[put.Job] {
			t.Errorf("job %v was put and is lost", put.Job)
		}
	}
	if len(there) != jobs+1 {
		t.Errorf("the store has %d jobs, want %d", len(there), jobs+1)
	}
	c.checkFigures(states, jobs)

	given, retaken, suspects := quantiles(c.given), quantiles(c.retaken), quantiles(c.suspects)
	figures(t, "after a kill", "jobs", len(c.given),
		"given_back_p99_ms", ms(given.p99), "given_back_max_ms", ms(given.most),
		"started_again_p50_ms", ms(retaken.p50), "started_again_p99_ms", ms(retaken.p99), "started_again_max_ms", ms(retaken.most),
		"suspects", len(c.suspects), "suspects_p50_ms", ms(suspects.p50), "suspects_p99_ms", ms(suspects.p99),
		"most_crashes_of_a_harmless_job", c.most)
	if len(c.given) == 0 {
		t.Error("no kill hit a job: the torture proves nothing")
	}
	bounded(t, "p99 from a kill until its jobs can be taken", given.p99, time.Second)
	bounded(t, "p99 from a kill until its jobs are started again, unless they are suspects", retaken.p99, time.Second)
}

// check looks at a job that kills nobody.
func (c *checker) check(info holdfast.Info) {
	c.t.Helper()
	runs := c.runs[info.ID]
	if info.State != holdfast.Done {
		c.t.Errorf("job %v is %v (%s), want done", info.ID, info.State, info.Why)
		return
	}
	if len(runs) == 0 || runs[len(runs)-1].End.IsZero() {
		c.t.Errorf("job %v is done, but its handler never came to its end: %+v", info.ID, runs)
		return
	}
	c.most = max(c.most, info.Crashes)
	for _, wrong := range Overlaps(runs, c.died.of) {
		c.t.Errorf("job %v: %s", info.ID, wrong)
	}
	for _, r := range runs[:len(runs)-1] {
		if c.died.of(r.PID).IsZero() {
			c.t.Errorf("job %v was started again, but process %d, which had it under fence %d, was never killed", info.ID, r.PID, r.Fence)
		}
	}
	if info.Attempt > 1 || info.Deaths > 0 || len(runs) > 1 {
		c.checkAttempts(info)
	}
}

// checkAttempts looks at what the store has recorded of a job that was taken more than once.
func (c *checker) checkAttempts(info holdfast.Info) {
	c.t.Helper()
	_, attempts, err := c.store.Show(c.t.Context(), info.ID)
	if err != nil {
		c.t.Fatal(err)
	}
	for i, a := range attempts {
		want := a.Outcome == holdfast.OutcomeDied || a.Outcome == holdfast.OutcomeCrashed
		if i == len(attempts)-1 {
			want = a.Outcome == holdfast.OutcomeDone
		}
		if a.N != i+1 || !want {
			c.t.Errorf("job %v: attempt %d of %d is number %d, %v", info.ID, i+1, len(attempts), a.N, a.Outcome)
		}
		if i+1 < len(attempts) {
			c.again(info.ID, a, attempts[i+1])
		}
	}
}

// again looks at an attempt that ended with its consumer, and the next one.
func (c *checker) again(job holdfast.ID, a, next holdfast.Attempt) {
	c.t.Helper()
	pid, known := c.pids[a.Consumer]
	if !known {
		records, err := c.store.Records(c.t.Context(), holdfast.RecordsQuery{Consumer: a.Consumer})
		if err != nil || len(records.Consumers) != 1 {
			c.t.Errorf("consumer %v: %+v, %v", a.Consumer, records.Consumers, err)
			return
		}
		pid = records.Consumers[0].PID
		c.pids[a.Consumer] = pid
	}
	death := c.died.of(pid)
	if death.IsZero() {
		c.t.Errorf("job %v was taken from process %d, which was never killed", job, pid)
		return
	}
	c.given = append(c.given, max(a.EndedAt.Sub(death), 0))
	if a.N < holdfast.SuspectDeaths { // each attempt before was a death
		c.retaken = append(c.retaken, max(next.StartedAt.Sub(death), 0))
	} else {
		c.suspects = append(c.suspects, max(next.StartedAt.Sub(death), 0))
	}
}

// checkKiller looks at the planted job: twice it died among others, then alone, three times and no more.
func (c *checker) checkKiller(info holdfast.Info) {
	c.t.Helper()
	if info.State != holdfast.Failed || info.Why != holdfast.ReasonCrashes || info.Crashes != 3 {
		c.t.Errorf("the job that kills its consumer is %v (%s) with %d crashes, want failed (crashes) with 3", info.State, info.Why, info.Crashes)
	}
	if runs := c.runs[info.ID]; len(runs) < 3 || len(runs) > info.Deaths {
		c.t.Errorf("the job that kills its consumer was started %d times in %d deaths", len(runs), info.Deaths)
	}
	for _, wrong := range Overlaps(c.runs[info.ID], c.died.of) {
		c.t.Errorf("killer: %s", wrong)
	}
}

// checkFigures compares counters and rollups with the jobs themselves.
func (c *checker) checkFigures(states map[holdfast.State]int64, jobs int) {
	c.t.Helper()
	counts, err := c.store.Counts(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	if len(counts) != 1 {
		c.t.Fatalf("queues: %+v, want one", counts)
	}
	for _, s := range holdfast.States {
		if got := counts[0].Of(s); got != states[s] {
			c.t.Errorf("%d jobs are counted as %v, there are %d", got, s, states[s])
		}
	}
	rollups, err := c.store.Stats(c.t.Context(), holdfast.StatsQuery{Queue: tortured, Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour), Step: time.Hour})
	if err != nil {
		c.t.Fatal(err)
	}
	var made, done, ended int64
	for _, r := range rollups {
		made, done, ended = made+r.Made, done+r.Done, ended+r.Ended
	}
	if want := int64(jobs); made != want+1 || done != want || ended != want+1 {
		c.t.Errorf("rollups: made %d, done %d, ended %d; want %d, %d, %d", made, done, ended, want+1, want, want+1)
	}
}
