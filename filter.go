package holdfast

import (
	"fmt"
	"strings"
	"time"
)

// Filter names jobs: those that meet every field that is set. The zero Filter names all jobs. A list that is empty but
// not nil names none: who computes a list of ids and finds none means no job, not all.
type Filter struct {
	IDs         []ID
	Queues      []string
	States      []State
	MadeSince   time.Time // made at that time or later
	MadeBefore  time.Time
	EndedBefore time.Time
	Cause       uint64 // failed with this cause
	Attached    bool   // only jobs with a file of ours
}

// String shows the filter for people, in the words of the filter grammar.
func (f Filter) String() string {
	var words []string
	add := func(key string, values ...string) {
		if len(values) > 0 {
			words = append(words, key+":"+strings.Join(values, ","))
		}
	}
	for _, id := range f.IDs {
		words = append(words, id.String())
	}
	states := make([]string, len(f.States))
	for i, s := range f.States {
		states[i] = s.String()
	}
	add("queue", f.Queues...)
	add("state", states...)
	if !f.MadeSince.IsZero() {
		add("made", ">="+f.MadeSince.UTC().Format(time.RFC3339Nano))
	}
	if !f.MadeBefore.IsZero() {
		add("made", "<"+f.MadeBefore.UTC().Format(time.RFC3339Nano))
	}
	if !f.EndedBefore.IsZero() {
		add("ended", "<"+f.EndedBefore.UTC().Format(time.RFC3339Nano))
	}
	if f.Cause != 0 {
		add("cause", fmt.Sprintf("%016x", f.Cause))
	}
	if f.Attached {
		add("file", "yes")
	}
	if len(words) == 0 {
		return "all jobs"
	}
	return strings.Join(words, " ")
}

// None says that the filter names no job: one of its lists is empty but not nil.
func (f *Filter) None() bool {
	return f.IDs != nil && len(f.IDs) == 0 || f.Queues != nil && len(f.Queues) == 0 || f.States != nil && len(f.States) == 0
}

// Match says whether the filter names the job: the meaning that every store's own query has.
func (f *Filter) Match(i *Info) bool {
	return !f.None() && (len(f.IDs) == 0 || has(f.IDs, i.ID)) &&
		(len(f.Queues) == 0 || has(f.Queues, i.Queue)) &&
		(len(f.States) == 0 || has(f.States, i.State)) &&
		(f.MadeSince.IsZero() || !i.MadeAt.Before(f.MadeSince)) &&
		(f.MadeBefore.IsZero() || i.MadeAt.Before(f.MadeBefore)) &&
		(f.EndedBefore.IsZero() || i.State.Ended() && i.EndedAt.Before(f.EndedBefore)) &&
		(f.Cause == 0 || i.Cause == f.Cause) &&
		(!f.Attached || i.Attached)
}

func has[T comparable](list []T, v T) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}
