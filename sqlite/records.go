package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/holdfastq/holdfast"
)

// keepActivity is the number of lines of activity that are kept.
const keepActivity = 10_000

// Record implements holdfast.Store. A consumer of this process gets its lock before its record is written, and loses it
// after the record says that it has ended.
func (s *Store) Record(ctx context.Context, r holdfast.Records) error {
	for i := range r.Consumers {
		if c := &r.Consumers[i]; s.ours(c) && !c.Ended {
			if err := s.vigil.hold(c.ID); err != nil {
				return fmt.Errorf("record: %w", err)
			}
		}
	}
	size := 0
	for _, m := range r.Marks {
		size += len(m.Value)
	}
	err := s.writer.do(ctx, turnAmend, len(r.Consumers)+len(r.Activity)+len(r.Marks), size, func(t *tx) error {
		return t.record(r)
	})
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	for i := range r.Consumers {
		if c := &r.Consumers[i]; c.Ended {
			s.vigil.release(c.ID)
		}
	}
	return nil
}

// ours says whether a consumer is this very process, so that our lock speaks for it. A server records those of its
// clients too.
func (s *Store) ours(c *holdfast.Consumer) bool {
	if c.Unattended || c.PID != os.Getpid() {
		return false
	}
	host, err := os.Hostname()
	return c.Host == "" || err == nil && strings.EqualFold(c.Host, host)
}

func (t *tx) record(r holdfast.Records) error {
	for i := range r.Consumers {
		if err := t.recordConsumer(&r.Consumers[i]); err != nil {
			return fmt.Errorf("consumer %s: %w", r.Consumers[i].ID, err)
		}
	}
	for _, a := range r.Activity {
		if err := t.act(a); err != nil {
			return err
		}
	}
	return t.mark(r.Marks)
}

const writeConsumer = `update holdfast_consumers
	set seen_at = ?, started_at = coalesce(?, started_at, ?), name = ?, host = ?, pid = ?, version = ?, queues = ?,
		max_crashes = ?, unattended = ?, ended = ?, boot_id = case when ? then null else coalesce(?, boot_id) end
	where no = ?`

func (t *tx) recordConsumer(c *holdfast.Consumer) error {
	no, err := t.consumerNo(c.ID)
	if err != nil {
		return err
	}
	queues, err := json.Marshal(c.Queues)
	if err != nil {
		return err
	}
	boot := null
	if t.store.vigil.holds(c.ID) {
		boot = text(t.store.boot)
	}
	_, err = t.exec(writeConsumer, num(t.now), moment(c.StartedAt), num(t.now), text(c.Name), text(c.Host), num(c.PID),
		text(c.Version), text(string(queues)), num(c.MaxCrashes), flag(c.Unattended), flag(c.Ended), flag(c.Ended), boot, num(no))
	return err
}

const writeActivity = `insert into holdfast_activity (id, at, actor, via, action, what, changed, skipped)
	values (?, ?, ?, ?, ?, ?, ?, ?)
	on conflict (id) do update set changed = changed + excluded.changed, skipped = skipped + excluded.skipped`

const cutActivity = `delete from holdfast_activity where no <= (select max(no) from holdfast_activity) - ?`

// act writes a line of activity; a further step of the same action is added to its line.
func (t *tx) act(a holdfast.Activity) error {
	if a.ID.IsZero() {
		a.ID = holdfast.NewID()
	}
	if a.At.IsZero() {
		a.At = wall(t.now)
	}
	_, err := t.exec(writeActivity, blob(a.ID[:]), moment(a.At), text(a.Actor), text(a.Via), text(string(a.Action)),
		text(a.What), num(a.Changed), num(a.Skipped))
	if err == nil {
		_, err = t.exec(cutActivity, num(keepActivity))
	}
	if err != nil {
		return fmt.Errorf("activity: %w", err)
	}
	return nil
}

const selectConsumers = `select id, name, host, pid, version, queues, started_at, seen_at, max_crashes, unattended, ended
	from holdfast_consumers
	where seen_at is not null and (?1 and ended = 0 or id = ?2)`

const selectActivity = `select id, at, actor, via, action, what, changed, skipped from holdfast_activity
	order by no desc limit ?`

const selectMark = `select value from holdfast_marks where name = ?`

// Records implements holdfast.Store.
func (s *Store) Records(ctx context.Context, q holdfast.RecordsQuery) (holdfast.Records, error) {
	var found holdfast.Records
	err := s.readers.read(ctx, func(c *conn) error {
		if q.Consumers || !q.Consumer.IsZero() {
			if err := readConsumers(c, &found, q); err != nil {
				return err
			}
		}
		if err := readActivity(c, &found, q.Activity); err != nil {
			return err
		}
		for _, name := range q.Marks {
			m := holdfast.Mark{Name: name}
			if err := c.query(selectMark, func(r row) error { m.Value = r.blob(0); return nil }, text(name)); err != nil {
				return err
			}
			found.Marks = append(found.Marks, m)
		}
		return nil
	})
	if err != nil {
		return holdfast.Records{}, fmt.Errorf("records: %w", err)
	}
	return found, nil
}

func readConsumers(c *conn, found *holdfast.Records, q holdfast.RecordsQuery) error {
	err := c.query(selectConsumers, func(r row) error {
		one := holdfast.Consumer{
			ID: r.id(0), Name: r.text(1), Host: r.text(2), PID: int(r.int(3)), Version: r.text(4), StartedAt: at(r, 6),
			SeenAt: at(r, 7), MaxCrashes: int(r.int(8)), Unattended: r.int(9) != 0, Ended: r.int(10) != 0,
		}
		if err := json.Unmarshal([]byte(r.text(5)), &one.Queues); err != nil {
			return fmt.Errorf("%w: queues of consumer %s: %w", holdfast.ErrCorrupt, one.ID, err)
		}
		found.Consumers = append(found.Consumers, one)
		return nil
	}, flag(q.Consumers), blob(q.Consumer[:]))
	slices.SortFunc(found.Consumers, func(a, b holdfast.Consumer) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return err
}

func readActivity(c *conn, found *holdfast.Records, limit int) error {
	if limit <= 0 {
		return nil
	}
	return c.query(selectActivity, func(r row) error {
		found.Activity = append(found.Activity, holdfast.Activity{
			ID: r.id(0), At: at(r, 1), Actor: r.text(2), Via: r.text(3), Action: holdfast.Action(r.text(4)), What: r.text(5),
			Changed: r.int(6), Skipped: r.int(7),
		})
		return nil
	}, num(limit))
}
