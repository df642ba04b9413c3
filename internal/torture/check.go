package torture

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfastq/holdfast"
)

// evidence is what all processes wrote down, put together.
type evidence struct {
	tried   map[holdfast.ID]bool // somebody tried to put it
	acked   map[holdfast.ID]bool // and was told that it is put
	fruits  map[holdfast.ID]holdfast.Lease
	given   map[holdfast.ID][]*delivery // by fence
	reports []*report
	stalls  map[int][]hurt
	lostAsk map[int][]time.Time // claims without an answer
	bad     []string
}

// delivery is one job in the hands of one process.
type delivery struct {
	lease          holdfast.Lease
	life           int
	number         string    // of the claim
	asked          time.Time // when the claim began
	answered       time.Time // and was answered
	started, ended time.Time
	reports        []*report
}

// report is one outcome that somebody reported.
type report struct {
	lease  holdfast.Lease
	life   int
	kind   string
	fruits []holdfast.ID
	at     time.Time
	answer string // the job's state, lost, error; "" if the process never heard
}

// accepted says that the store said yes.
func (r *report) accepted() bool {
	return r.answer != "" && r.answer != itemLost && r.answer != itemError
}

// gather reads the journals.
func gather(journals map[int][]entry) (*evidence, error) {
	e := &evidence{
		tried: map[holdfast.ID]bool{}, acked: map[holdfast.ID]bool{}, fruits: map[holdfast.ID]holdfast.Lease{},
		given: map[holdfast.ID][]*delivery{}, stalls: map[int][]hurt{}, lostAsk: map[int][]time.Time{},
	}
	for life, entries := range journals {
		if err := e.read(life, entries); err != nil {
			return nil, fmt.Errorf("journal of life %d: %w", life, err)
		}
	}
	for _, list := range e.given {
		slices.SortFunc(list, func(a, b *delivery) int {
			return cmp.Or(cmp.Compare(a.lease.Fence, b.lease.Fence), a.asked.Compare(b.asked))
		})
	}
	for _, r := range e.reports {
		for _, d := range e.given[r.lease.Job] {
			if d.lease == r.lease {
				d.reports = append(d.reports, r)
			}
		}
	}
	return e, nil
}

// read takes over one process's journal.
func (e *evidence) read(life int, entries []entry) error {
	type asked struct {
		entry
		reports []*report
	}
	open := map[string]asked{}
	held := map[string]*delivery{}
	for _, line := range entries {
		if len(line.args) == 0 {
			return fmt.Errorf("%s says nothing", line.word)
		}
		switch line.word {
		case wordCall:
			a := asked{entry: line}
			switch line.args[1] {
			case methodInsert:
				for _, text := range line.args[2:] {
					id, err := holdfast.ParseID(text)
					if err != nil {
						return err
					}
					e.tried[id] = true
				}
			case methodFinish:
				for _, text := range line.args[2:] {
					r, err := parseReport(text)
					if err != nil {
						return err
					}
					r.life, r.at = life, line.at
					a.reports = append(a.reports, r)
					e.reports = append(e.reports, r)
					for _, id := range r.fruits {
						e.tried[id] = true
						e.fruits[id] = r.lease
					}
				}
			}
			open[line.args[0]] = a
		case wordAnswer:
			a := open[line.args[0]]
			delete(open, line.args[0])
			if line.args[1] != answerOK {
				if line.args[1] == answerUnknown && a.args[1] == methodClaim {
					e.lostAsk[life] = append(e.lostAsk[life], a.at)
				}
				continue
			}
			if err := e.answered(life, a.entry, a.reports, line, held); err != nil {
				return err
			}
		case wordStart, wordEnd:
			d := held[line.args[0]]
			if d == nil {
				e.bad = append(e.bad, fmt.Sprintf("life %d: handler %s of lease %s, which no claim gave to it", life, line.word, line.args[0]))
				continue
			}
			if line.word == wordEnd {
				d.ended = line.at
				continue
			}
			if !d.started.IsZero() {
				e.bad = append(e.bad, fmt.Sprintf("life %d: handler started twice with lease %s", life, line.args[0]))
			}
			d.started = line.at
		case wordStall:
			var from int64
			if _, err := fmt.Sscan(line.args[0], &from); err != nil {
				return err
			}
			e.stalls[life] = append(e.stalls[life], hurt{from: time.Unix(0, from), to: line.at})
		case wordBad:
			e.bad = append(e.bad, fmt.Sprintf("life %d: %s", life, strings.Join(line.args, " ")))
		}
	}
	for _, a := range open {
		if a.args[1] == methodClaim {
			e.lostAsk[life] = append(e.lostAsk[life], a.at)
		}
	}
	return nil
}

// answered takes over a call that was answered well.
func (e *evidence) answered(life int, call entry, reports []*report, line entry, held map[string]*delivery) error {
	items := line.args[2:]
	switch call.args[1] {
	case methodInsert:
		for i, text := range call.args[2:] {
			id, err := holdfast.ParseID(text)
			if err != nil {
				return err
			}
			if items[i] != answerOK {
				e.bad = append(e.bad, fmt.Sprintf("life %d: put of job %v was refused", life, id))
				continue
			}
			e.acked[id] = true
		}
	case methodClaim:
		for _, text := range items {
			l, err := holdfast.ParseLease(text)
			if err != nil {
				return err
			}
			if old := held[text]; old != nil && old.number == call.args[2] {
				continue // the repeat of a claim whose answer was lost
			}
			d := &delivery{lease: l, life: life, number: call.args[2], asked: call.at, answered: line.at}
			held[text] = d
			e.given[l.Job] = append(e.given[l.Job], d)
		}
	case methodFinish:
		for i, r := range reports {
			r.answer = items[i]
			if r.accepted() && r.kind == holdfast.OutcomeDone.String() {
				for _, id := range r.fruits {
					e.acked[id] = true
				}
			}
		}
	}
	return nil
}

// parseReport reads LEASE:KIND[:FRUIT…].
func parseReport(text string) (*report, error) {
	parts := strings.Split(text, ":")
	if len(parts) < 2 {
		return nil, fmt.Errorf("report %q", text)
	}
	l, err := holdfast.ParseLease(parts[0])
	if err != nil {
		return nil, err
	}
	r := &report{lease: l, kind: parts[1]}
	for _, p := range parts[2:] {
		id, err := holdfast.ParseID(p)
		if err != nil {
			return nil, err
		}
		r.fruits = append(r.fruits, id)
	}
	return r, nil
}

// check compares the records with what is left in the store.
func check(ctx context.Context, open Opener, file, records string, faults map[int][]hurt, r *Report) error {
	journals, err := readJournals(records)
	if err != nil {
		return err
	}
	e, err := gather(journals)
	if err != nil {
		return err
	}
	s, err := open(ctx, file)
	if err != nil {
		r.complain("the store does not open any more: %v", err)
		return nil
	}
	defer s.Close()
	left, err := inventory(ctx, s, r)
	if err != nil {
		r.complain("the store cannot be read any more: %v", err)
		return nil
	}
	for _, text := range e.bad {
		r.complain("%s", text)
	}
	e.compare(left, r)
	e.judge(faults, r)
	return nil
}

// inventory reads every job, and compares the counters with them.
func inventory(ctx context.Context, s holdfast.Store, r *Report) (map[holdfast.ID]holdfast.Info, error) {
	left := map[holdfast.ID]holdfast.Info{}
	counted := map[string][6]int64{}
	for l := (holdfast.List{Data: true}); ; {
		page, err := s.List(ctx, l)
		if err != nil {
			return nil, err
		}
		for _, i := range page.Jobs {
			var p parcel
			if err := json.Unmarshal(i.Data, &p); err != nil || p.Sum != p.sum(i.ID) {
				r.Unexpected++
				r.complain("job %v has other data than was put", i.ID)
			}
			i.Data, i.Result = nil, nil
			if _, twice := left[i.ID]; twice {
				r.complain("job %v is listed twice", i.ID)
			}
			left[i.ID] = i
			c := counted[i.Queue]
			c[i.State]++
			counted[i.Queue] = c
		}
		if l.After = page.Next; page.Next == "" {
			break
		}
	}
	counts, err := s.Counts(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range counts {
		if c.States != counted[c.Queue] {
			r.complain("queue %s: counters say %v, its jobs %v", c.Queue, c.States, counted[c.Queue])
		}
	}
	return left, nil
}

// compare looks at what must be there, and at what may be.
func (e *evidence) compare(left map[holdfast.ID]holdfast.Info, r *Report) {
	r.Put = len(e.acked)
	for id := range e.acked {
		if _, there := left[id]; !there {
			r.Lost++
			r.complain("job %v was acknowledged and is not there", id)
		}
	}
	for id, i := range left {
		switch {
		case !e.tried[id]:
			r.Unexpected++
			r.complain("job %v is there and was never put", id)
		case i.State == holdfast.Done:
			r.Done++
		case i.State.Ended():
			r.complain("job %v is %v (%s), which nobody asked for", id, i.State, i.Why)
		default:
			r.Stuck++
			r.complain("job %v is still %v", id, i.State)
		}
	}
	for id, l := range e.fruits { // of one step with the completion of their parent
		parent := left[l.Job]
		born := parent.State == holdfast.Done && parent.Fence == l.Fence
		switch _, there := left[id]; {
		case born && !there && !e.acked[id]:
			r.Lost++
			r.complain("job %v, produced by %v, is not there although that is done", id, l)
		case !born && there:
			r.Unexpected++
			r.complain("job %v, produced by %v, is there although that did not complete", id, l)
		}
	}
	for _, p := range e.reports {
		i := left[p.lease.Job]
		if p.accepted() && p.kind == holdfast.OutcomeDone.String() && (i.State != holdfast.Done || i.Fence != p.lease.Fence) {
			r.Lost++
			r.complain("job %v is %v by fence %d, but its completion by fence %d was acknowledged", i.ID, i.State, i.Fence, p.lease.Fence)
		}
	}
}
