package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
)

// scene is a store and the journals of those who used it, to be told with or without a lie.
type scene struct {
	*testing.T
	dir    string
	store  *memory.Store
	at     int64
	calls  int
	lines  map[int]string // by life
	faults map[int][]hurt
	job    holdfast.NewJob
}

func newScene(t *testing.T) *scene {
	s := &scene{T: t, dir: t.TempDir(), store: memory.New(), lines: map[int]string{}, faults: map[int][]hurt{}}
	s.job = s.parcel()
	return s
}

func (s *scene) parcel() holdfast.NewJob {
	id := holdfast.NewID()
	data, err := json.Marshal(newParcel(id, rand.New(rand.NewPCG(1, 1)), false))
	if err != nil {
		s.Fatal(err)
	}
	return holdfast.NewJob{ID: id, Queue: queueNames[0], Data: data}
}

// say writes a line of a life; each comes a millisecond after the last.
func (s *scene) say(life int, format string, args ...any) {
	s.at++
	s.lines[life] += fmt.Sprintf("%d "+format+"\n", append([]any{s.at * int64(time.Millisecond)}, args...)...)
}

// call writes a call and its answer.
func (s *scene) call(life int, call, answer string) {
	s.calls++
	s.say(life, "call %d %s", s.calls, call)
	s.say(life, "answer %d %s", s.calls, answer)
}

func (s *scene) put() {
	if _, err := s.store.Insert(s.Context(), holdfast.Insert{Jobs: []holdfast.NewJob{s.job}}); err != nil {
		s.Fatal(err)
	}
	s.call(1, "insert "+s.job.ID.String(), "ok ok")
}

// take is a claim that the journal knows.
func (s *scene) take(life int) holdfast.Lease {
	got, err := s.store.Claim(s.Context(), holdfast.Claim{Queues: queueNames, N: 1, Lease: time.Minute, Suspects: 1})
	if err != nil || len(got.Jobs) != 1 {
		s.Fatal(got, err)
	}
	l := got.Jobs[0].Lease
	s.call(life, "claim 1", "ok "+l.String())
	s.say(life, "start %v", l)
	return l
}

// done is an honest completion.
func (s *scene) done(life int, l holdfast.Lease, fruits ...holdfast.NewJob) {
	if _, err := s.store.Finish(s.Context(), []holdfast.Outcome{{Lease: l, Kind: holdfast.OutcomeDone, New: fruits}}); err != nil {
		s.Fatal(err)
	}
	s.tell(life, l, "done", fruits...)
}

func (s *scene) tell(life int, l holdfast.Lease, kind string, fruits ...holdfast.NewJob) {
	text := fmt.Sprintf("finish %v:%s", l, kind)
	for i := range fruits {
		text += ":" + fruits[i].ID.String()
	}
	s.call(life, text, "ok "+kind)
}

// back gives the job to others behind the holder's back.
func (s *scene) back(l holdfast.Lease) {
	if _, err := s.store.Finish(s.Context(), []holdfast.Outcome{{Lease: l, Kind: holdfast.OutcomeReleased}}); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) check() (r Report) {
	for life, text := range s.lines {
		if err := os.WriteFile(filepath.Join(s.dir, fmt.Sprintf("x-%d", life)), []byte(text), 0o600); err != nil {
			s.Fatal(err)
		}
	}
	open := func(context.Context, string) (holdfast.Store, error) { return s.store, nil }
	if err := check(s.Context(), open, "", s.dir, s.faults, &r); err != nil {
		s.Fatal(err)
	}
	return r
}

func TestCheckSeesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		play func(s *scene)
		want Report
	}{
		"all is well":                      {func(s *scene) { s.put(); s.done(2, s.take(2)) }, Report{Put: 1, Done: 1}},
		"an acknowledged job is gone":      {func(s *scene) { s.call(1, "insert "+s.job.ID.String(), "ok ok") }, Report{Put: 1, Lost: 1}},
		"a job of unknown outcome is gone": {func(s *scene) { s.call(1, "insert "+s.job.ID.String(), "unknown") }, Report{}},
		"a job that nobody put":            {func(s *scene) { s.put(); s.lines = map[int]string{}; s.done(2, s.take(2)) }, Report{Unexpected: 1}},
		"other data": {func(s *scene) {
			other := s.parcel()
			s.job.Data = other.Data
			s.put()
			s.done(2, s.take(2))
		}, Report{Put: 1, Done: 1, Unexpected: 1}},
		"not done in the end":            {func(s *scene) { s.put(); s.take(2) }, Report{Put: 1, Stuck: 1}},
		"a completion that is forgotten": {func(s *scene) { s.put(); s.tell(2, s.take(2), "done") }, Report{Put: 1, Stuck: 1, Lost: 1}},
		"done twice": {func(s *scene) {
			s.put()
			l := s.take(2)
			s.tell(2, l, "done")
			s.back(l)
			s.done(3, s.take(3))
		}, Report{Put: 1, Done: 1, Duplicated: 1, Redelivered: 1, Unexplained: 1, Lost: 1}},
		"one lease to two": {func(s *scene) {
			s.put()
			l := s.take(2)
			s.call(3, "claim 1", "ok "+l.String())
			s.done(2, l)
		}, Report{Put: 1, Done: 1, Duplicated: 1}},
		"two outcomes of one lease": {func(s *scene) {
			s.put()
			l := s.take(2)
			s.tell(2, l, "failed")
			s.done(2, l)
		}, Report{Put: 1, Done: 1, Duplicated: 1}},
		"given on after a kill": {func(s *scene) {
			s.put()
			l := s.take(2)
			at := time.Unix(0, s.at*int64(time.Millisecond))
			s.faults[2] = []hurt{{true, at, at}}
			s.back(l)
			s.done(3, s.take(3))
		}, Report{Put: 1, Done: 1, Redelivered: 1, ByKill: 1}},
		"given on after the kill of another": {func(s *scene) {
			s.put()
			l := s.take(2)
			at := time.Unix(0, s.at*int64(time.Millisecond))
			s.faults[4] = []hurt{{true, at, at}}
			s.back(l)
			s.done(3, s.take(3))
		}, Report{Put: 1, Done: 1, Redelivered: 1, Unexplained: 1}},
		"given on after a pause that was over before": {func(s *scene) {
			at := time.Unix(0, s.at*int64(time.Millisecond))
			s.faults[2] = []hurt{{false, at, at}}
			s.put()
			l := s.take(2)
			s.back(l)
			s.done(3, s.take(3))
		}, Report{Put: 1, Done: 1, Redelivered: 1, Unexplained: 1}},
		"given back by the holder": {func(s *scene) {
			s.put()
			l := s.take(2)
			s.back(l)
			s.tell(2, l, "released")
			s.done(3, s.take(3))
		}, Report{Put: 1, Done: 1}},
		"a fruit without its completion": {func(s *scene) {
			s.put()
			fruit := s.parcel()
			l := s.take(2)
			s.say(2, "call 99 finish %v:done:%v", l, fruit.ID)
			s.back(l)
			s.faults[2] = []hurt{{true, time.Unix(0, s.at*int64(time.Millisecond)), time.Now()}}
			s.done(3, s.take(3))
			s.job = fruit
			s.put()
			s.done(3, s.take(3))
		}, Report{Put: 2, Done: 2, Unexpected: 1, Redelivered: 1, ByKill: 1}},
		"a completion without its fruit": {func(s *scene) {
			s.put()
			l := s.take(2)
			s.done(2, l)
			s.say(2, "call 99 finish %v:done:%v", l, s.parcel().ID)
		}, Report{Put: 1, Done: 1, Lost: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			c.play(s)
			got := s.check()
			words := got.Wrong
			got.Wrong = nil
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %+v, want %+v; said %q", got, c.want, words)
			}
			if bad := c.want.Failed(); bad != (len(words) > 0) {
				t.Errorf("said %q", words)
			}
		})
	}
}
