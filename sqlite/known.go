package sqlite

import (
	"fmt"
	"sync"

	"github.com/holdfastq/holdfast"
)

// known remembers the numbers of queues and consumers that are on disk. They never change, so whoever has read one once
// need not read it again.
type known struct {
	mu        sync.RWMutex
	queues    map[string]int64
	queueNos  map[int64]string
	consumers map[holdfast.ID]int64
	ids       map[int64]holdfast.ID
}

// maxKnown bounds the consumers that are remembered: each process start makes one.
const maxKnown = 4096

func newKnown() *known {
	k := &known{queues: map[string]int64{}, queueNos: map[int64]string{}}
	k.forgetConsumers()
	return k
}

func (k *known) forgetConsumers() {
	k.consumers, k.ids = map[holdfast.ID]int64{}, map[int64]holdfast.ID{}
}

func (k *known) queue(name string) int64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.queues[name]
}

func (k *known) consumer(id holdfast.ID) int64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.consumers[id]
}

// learn takes over what a transaction has met. It has been committed.
func (k *known) learn(t *tx) {
	if len(t.queues) == 0 && len(t.consumers) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, no := range t.queues {
		k.queues[name], k.queueNos[no] = no, name
	}
	for id, no := range t.consumers {
		k.keepConsumer(id, no)
	}
}

func (k *known) keepConsumer(id holdfast.ID, no int64) {
	if len(k.ids) >= maxKnown {
		k.forgetConsumers()
	}
	k.consumers[id], k.ids[no] = no, id
}

const selectQueueName = `select name from holdfast_queues where no = ?`

// queueName gives the name of a queue. Only what a reader has met is kept: a writer's own may be rolled back.
func (k *known) queueName(s session, no int64) (string, error) {
	k.mu.RLock()
	name, ok := k.queueNos[no]
	k.mu.RUnlock()
	if ok {
		return name, nil
	}
	if err := s.query(selectQueueName, func(r row) error { name, ok = r.text(0), true; return nil }, num(no)); err != nil {
		return "", err
	}
	if !ok {
		return "", fmt.Errorf("%w: there is no queue with number %d", holdfast.ErrCorrupt, no)
	}
	if c, ok := s.(*conn); ok && c.readOnly {
		k.mu.Lock()
		k.queues[name], k.queueNos[no] = no, name
		k.mu.Unlock()
	}
	return name, nil
}

const selectConsumerID = `select id from holdfast_consumers where no = ?`

// consumerID gives the id of a consumer; the zero id if it was forgotten.
func (k *known) consumerID(s session, no int64) (id holdfast.ID, err error) {
	if no == 0 {
		return id, nil
	}
	k.mu.RLock()
	id, ok := k.ids[no]
	k.mu.RUnlock()
	if ok {
		return id, nil
	}
	if err := s.query(selectConsumerID, func(r row) error { id = r.id(0); return nil }, num(no)); err != nil {
		return id, err
	}
	if c, ok := s.(*conn); ok && c.readOnly && !id.IsZero() {
		k.mu.Lock()
		k.keepConsumer(id, no)
		k.mu.Unlock()
	}
	return id, nil
}
