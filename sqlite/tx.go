package sqlite

import (
	"fmt"

	"github.com/holdfastq/holdfast"
)

// tx is one transaction: the writer's own, with the calls of many in it, or the caller's.
type tx struct {
	session
	clock
	store *Store

	careful bool // plan each step before its first write, so that what is refused leaves nothing
	sums    map[int64]*sum
	last    *sum // of the queue that was asked for last

	queues    map[string]int64 // met in this transaction: it may be rolled back, and its numbers with it
	queueNos  map[int64]string
	consumers map[holdfast.ID]int64
	ids       map[int64]holdfast.ID

	handed  []*job         // what was claimed
	ready   map[int64]bool // queues in which something became claimable
	asked   bool           // somebody asked something of a consumer
	nextDue int64          // the earliest RunAt that was scheduled; 0: none
	fences  int8           // whether fences of deleted jobs are kept: 0 not looked yet, 1 yes, -1 no
}

func (s *Store) newTx(on session) *tx {
	return &tx{
		session: on, clock: s.clock(), store: s,
		sums: map[int64]*sum{}, queues: map[string]int64{}, queueNos: map[int64]string{},
		consumers: map[holdfast.ID]int64{}, ids: map[int64]holdfast.ID{}, ready: map[int64]bool{},
	}
}

// news says that something in a queue can be claimed now.
func (t *tx) news(queue int64) {
	if !t.ready[queue] {
		t.ready[queue] = true
	}
}

// later says that something was scheduled.
func (t *tx) later(runAt int64) {
	if t.nextDue == 0 || runAt < t.nextDue {
		t.nextDue = runAt
	}
}

const selectQueue = `select no from holdfast_queues where name = ?`

const insertQueue = `insert into holdfast_queues (name) values (?)`

// findQueue gives the number of a queue, 0 if there is none of that name.
func (t *tx) findQueue(name string) (int64, error) {
	if no := t.queues[name]; no != 0 {
		return no, nil
	}
	if no := t.store.known.queue(name); no != 0 {
		return no, nil
	}
	var no int64
	if err := t.query(selectQueue, func(r row) error { no = r.int(0); return nil }, text(name)); err != nil {
		return 0, err
	}
	if no != 0 {
		t.queues[name], t.queueNos[no] = no, name
	}
	return no, nil
}

// queueNo gives the number of a queue, and makes the queue if need be.
func (t *tx) queueNo(name string) (int64, error) {
	no, err := t.findQueue(name)
	if no != 0 || err != nil {
		return no, err
	}
	if _, err := t.exec(insertQueue, text(name)); err != nil {
		return 0, fmt.Errorf("make queue: %w", err)
	}
	return t.findQueue(name)
}

func (t *tx) queueName(no int64) (string, error) {
	if name, ok := t.queueNos[no]; ok {
		return name, nil
	}
	name, err := t.store.known.queueName(t.session, no)
	if err == nil {
		t.queues[name], t.queueNos[no] = no, name
	}
	return name, err
}

const selectConsumer = `select no from holdfast_consumers where id = ?`

const insertConsumer = `insert into holdfast_consumers (id) values (?)`

// consumerNo gives the number of a consumer, and makes one for it if need be; the zero id is 0, nobody in particular.
func (t *tx) consumerNo(id holdfast.ID) (int64, error) {
	no, err := t.findConsumer(id)
	if no != 0 || err != nil || id.IsZero() {
		return no, err
	}
	if _, err := t.exec(insertConsumer, blob(id[:])); err != nil {
		return 0, fmt.Errorf("make consumer: %w", err)
	}
	return t.findConsumer(id)
}

// findConsumer gives the number of a consumer, 0 if it is not known.
func (t *tx) findConsumer(id holdfast.ID) (int64, error) {
	if id.IsZero() {
		return 0, nil
	}
	if no := t.consumers[id]; no != 0 {
		return no, nil
	}
	if no := t.store.known.consumer(id); no != 0 {
		return no, nil
	}
	var no int64
	if err := t.query(selectConsumer, func(r row) error { no = r.int(0); return nil }, blob(id[:])); err != nil {
		return 0, err
	}
	if no != 0 {
		t.consumers[id], t.ids[no] = no, id
	}
	return no, nil
}

func (t *tx) consumerID(no int64) (holdfast.ID, error) {
	if no == 0 {
		return holdfast.ID{}, nil
	}
	if id, ok := t.ids[no]; ok {
		return id, nil
	}
	id, err := t.store.known.consumerID(t.session, no)
	if err == nil && !id.IsZero() {
		t.consumers[id], t.ids[no] = no, id
	}
	return id, err
}

// forget drops what the transaction met: a part of it was undone.
func (t *tx) forget() {
	clear(t.queues)
	clear(t.queueNos)
	clear(t.consumers)
	clear(t.ids)
	t.fences = 0
}
