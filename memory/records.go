package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/holdfastq/holdfast"
)

// keepActivity is the number of lines of activity that are kept.
const keepActivity = 10_000

// Record implements holdfast.Store.
func (s *Store) Record(ctx context.Context, r holdfast.Records) error {
	now, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, c := range r.Consumers {
		c.Queues = slices.Clone(c.Queues)
		c.StartedAt, c.SeenAt = truncate(c.StartedAt), now
		if c.StartedAt.IsZero() {
			c.StartedAt = now
			if old := s.consumers[c.ID]; old != nil {
				c.StartedAt = old.StartedAt
			}
		}
		s.consumers[c.ID] = &c
	}
	for _, a := range r.Activity {
		if a.At = truncate(a.At); a.At.IsZero() {
			a.At = now
		}
		s.act(a)
	}
	s.mark(r.Marks)
	return nil
}

// act writes a line of activity; a further step of the same action is added to its line.
func (s *Store) act(a holdfast.Activity) {
	if a.ID.IsZero() {
		a.ID = holdfast.NewID()
	}
	for i := range s.activity {
		if line := &s.activity[i]; line.ID == a.ID {
			line.Changed += a.Changed
			line.Skipped += a.Skipped
			return
		}
	}
	s.activity = append(s.activity, a)
	if over := len(s.activity) - keepActivity; over > 0 {
		s.activity = slices.Delete(s.activity, 0, over)
	}
}

func (s *Store) mark(marks []holdfast.Mark) {
	for _, m := range marks {
		if m.Value == nil {
			delete(s.marks, m.Name)
		} else {
			s.marks[m.Name] = bytes.Clone(m.Value)
		}
	}
}

// Records implements holdfast.Store.
func (s *Store) Records(ctx context.Context, q holdfast.RecordsQuery) (holdfast.Records, error) {
	var r holdfast.Records
	if _, err := s.begin(ctx); err != nil {
		return r, err
	}
	defer s.mu.Unlock()
	for _, c := range s.consumers {
		if q.Consumers && !c.Ended || !q.Consumer.IsZero() && c.ID == q.Consumer {
			copied := *c
			copied.Queues = slices.Clone(c.Queues)
			r.Consumers = append(r.Consumers, copied)
		}
	}
	slices.SortFunc(r.Consumers, func(a, b holdfast.Consumer) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), bytes.Compare(a.ID[:], b.ID[:]))
	})
	for i := len(s.activity) - 1; i >= 0 && len(r.Activity) < q.Activity; i-- {
		r.Activity = append(r.Activity, s.activity[i])
	}
	for _, name := range q.Marks {
		r.Marks = append(r.Marks, holdfast.Mark{Name: name, Value: bytes.Clone(s.marks[name])})
	}
	return r, nil
}
