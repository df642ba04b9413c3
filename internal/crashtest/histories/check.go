package histories

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/holdfastq/holdfast"
)

// lives are all that a job may be at one moment: more than one while a call of unknown outcome is about.
type lives []life

func (a lives) add(l life) lives {
	if slices.Contains(a, l) {
		return a
	}
	return append(a, l)
}

func (a lives) equal(b lives) bool {
	if len(a) != len(b) {
		return false
	}
	for _, l := range a {
		if !slices.Contains(b, l) {
			return false
		}
	}
	return true
}

// run is calls that follow each other while nobody else calls anything that concerns the job: Porcupine need not look
// for their order.
type run []*op

// runs joins calls where it can. The calls are sorted by their begin.
func runs(ops []*op) []run {
	var all []run
	open, joins := int64(0), false // until when earlier calls may have happened; whether the last run takes more
	for i, o := range ops {
		alone := o.job.IsZero() && o.call > open && (i+1 == len(ops) || ops[i+1].call > o.ret)
		if alone && joins {
			all[len(all)-1] = append(all[len(all)-1], o)
		} else {
			all = append(all, run{o})
		}
		open, joins = max(open, o.ret), alone
	}
	return all
}

// model is the life of one job, as Porcupine wants it. Most calls leave most jobs alone: they allocate nothing.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return &lives{{}} },
		Step: func(state, in, _ any) (bool, any) {
			now := *state.(*lives)
			var room [2][12]life
			for i, o := range in.(run) {
				next := lives(room[i%2][:0])
				for _, l := range now {
					next = o.step(l, next)
				}
				now = next
			}
			if now.equal(*state.(*lives)) {
				return true, state
			}
			after := slices.Clone(now)
			return len(after) > 0, &after
		},
		Equal: func(a, b any) bool { return a == b || a.(*lives).equal(*b.(*lives)) },
	}
}

// patience is how long the search for one job's order may take.
const patience = 20 * time.Second

// check looks for an order for each job and says which have none: at most a few, with their calls.
func (r *record) check() []string {
	var mu sync.Mutex
	var wrong []string
	var searching sync.WaitGroup
	next := make(chan holdfast.ID)
	for range runtime.GOMAXPROCS(0) {
		searching.Go(func() {
			for id := range next {
				if text := r.explain(id); text != "" {
					mu.Lock()
					wrong = append(wrong, text)
					mu.Unlock()
				}
			}
		})
	}
	for _, id := range r.order {
		mu.Lock()
		enough := len(wrong) >= 3
		mu.Unlock()
		if enough {
			break
		}
		next <- id
	}
	close(next)
	searching.Wait()
	return wrong
}

// explain says that one job's calls have no order, "" if they have one.
func (r *record) explain(id holdfast.ID) string {
	ops := r.of(id)
	slices.SortFunc(ops, func(a, b *op) int { return cmp.Compare(a.ret, b.ret) })
	switch search(ops) {
	case porcupine.Ok:
		return ""
	case porcupine.Unknown:
		return fmt.Sprintf("job %v: no order of its %d calls was found in %v", id, len(ops), patience)
	}
	// The shortest beginning that has no order ends with the call that shows it. All calls about this job alone are
	// shown, the other ones as far as they are near.
	n := sort.Search(len(ops), func(i int) bool { return search(until(ops, i+1)) == porcupine.Illegal })
	end := ops[min(n, len(ops)-1)].ret
	slices.SortFunc(ops, func(a, b *op) int { return cmp.Compare(a.call, b.call) })
	var text strings.Builder
	fmt.Fprintf(&text, "job %v in queue %q: no order of these calls explains their answers:\n", id, r.jobs[id].queue)
	shown := 0
	for i, o := range ops {
		if near := o.call <= end && o.ret >= end-200 || i < 3; o.job.IsZero() && !near || shown > 80 {
			continue // far away, and about every job
		}
		mark := " "
		if o.ret == end {
			mark = ">"
		}
		fmt.Fprintf(&text, "%s %v\n", mark, o)
		shown++
	}
	return text.String()
}

// until gives the first n ops by their return, and those which had begun by then, as if they had never been answered.
func until(ops []*op, n int) []*op {
	n = min(n, len(ops))
	list := slices.Clone(ops[:n])
	end := list[n-1].ret
	for _, o := range ops[n:] {
		if o.call < end && o.ret != never {
			open := *o
			open.ret, open.unknown = never, true
			list = append(list, &open)
		} else if o.call < end {
			list = append(list, o)
		}
	}
	return list
}

func search(ops []*op) porcupine.CheckResult {
	ops = slices.Clone(ops)
	slices.SortFunc(ops, func(a, b *op) int { return cmp.Compare(a.call, b.call) })
	var history []porcupine.Operation
	for _, r := range runs(ops) {
		history = append(history, porcupine.Operation{Input: r, Call: r[0].call, Return: r[len(r)-1].ret})
	}
	return porcupine.CheckOperationsTimeout(model(), history, patience)
}
