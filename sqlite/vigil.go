package sqlite

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/holdfastq/holdfast"
)

// vigilEvery is how often the locks of those who hold jobs are tested: the jobs of a dead process are back within a
// second. Those who hold none cost nobody anything but a look at every file now and then, one in vigilRound.
const (
	vigilEvery = 300 * time.Millisecond
	vigilRound = 100
)

// vigil holds the locks of this process's consumers and, from the first of them on, watches over those of others.
type vigil struct {
	store *Store

	mu      sync.Mutex
	locks   map[holdfast.ID]*consumerLock
	running bool
	closed  bool
	stop    context.CancelFunc
	ended   chan struct{}
}

func newVigil(s *Store) *vigil {
	return &vigil{store: s, locks: map[holdfast.ID]*consumerLock{}, ended: make(chan struct{})}
}

// hold takes the lock of a consumer of this process, once.
func (v *vigil) hold(id holdfast.ID) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return holdfast.ErrClosed
	}
	if v.locks[id] != nil {
		return nil
	}
	lock, err := holdConsumer(v.store.house, id)
	if err != nil {
		return err
	}
	v.locks[id] = lock
	if !v.running {
		v.running = true
		ctx, cancel := context.WithCancel(context.Background())
		v.stop = cancel
		go v.run(ctx)
	}
	return nil
}

func (v *vigil) holds(id holdfast.ID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.locks[id] != nil
}

// release gives the lock of a consumer that has ended in peace.
func (v *vigil) release(id holdfast.ID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if lock := v.locks[id]; lock != nil {
		lock.release() // a file that stays is found free and tidied up by others
		delete(v.locks, id)
	}
}

// end stops the watch; the locks stay until drop, because calls may still be under way.
func (v *vigil) end() {
	v.mu.Lock()
	running := v.running
	v.closed = true
	if running {
		v.stop()
	}
	v.mu.Unlock()
	if running {
		<-v.ended
	}
}

// drop lets go of the locks that are left: their consumers have not said that they ended, so others find them dead.
func (v *vigil) drop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, lock := range v.locks {
		lock.file.Close()
		delete(v.locks, id)
	}
}

func (v *vigil) run(ctx context.Context) {
	defer close(v.ended)
	ticker := time.NewTicker(vigilEvery)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			v.look(ctx, n%vigilRound == 0) // what fails here is tried again at the next look, and Sweep does it too
		}
	}
}

// look gives back the jobs of those who died since the last look: of all, or only of those who hold any.
func (v *vigil) look(ctx context.Context, all bool) error {
	ids, err := v.others(ctx, all)
	if err != nil {
		return err
	}
	var dead []holdfast.ID
	for _, id := range ids {
		if v.holds(id) {
			continue
		}
		alive, err := testConsumer(v.store.house, id)
		if err != nil {
			return err
		}
		if !alive {
			dead = append(dead, id)
		}
	}
	if len(dead) == 0 {
		return nil
	}
	return v.store.bury(ctx, dead)
}

// others gives the consumers to test.
func (v *vigil) others(ctx context.Context, all bool) (ids []holdfast.ID, err error) {
	if all {
		return listConsumers(v.store.house)
	}
	err = v.store.readers.read(ctx, func(db *conn) error {
		found, err := holders(db, v.store.boot)
		for _, h := range found {
			if h.boot != "" && !h.reboot {
				ids = append(ids, h.id)
			}
		}
		return err
	})
	return ids, err
}

// buryStep is how many jobs of the dead one step gives back.
const buryStep = 1000

// bury gives back all that the dead hold and says on their records that they have ended.
func (s *Store) bury(ctx context.Context, dead []holdfast.ID) error {
	for more := true; more; {
		err := s.writer.do(ctx, turnSweep, 1, 0, func(t *tx) (err error) {
			more, err = t.bury(dead)
			return err
		})
		if err != nil {
			return fmt.Errorf("give back the jobs of dead consumers: %w", err)
		}
	}
	for _, id := range dead {
		if err := removeConsumer(s.house, id); err != nil {
			return err
		}
	}
	return nil
}

const endConsumer = `update holdfast_consumers set ended = 1, boot_id = null where id = ?`

func (t *tx) bury(dead []holdfast.ID) (more bool, err error) {
	all, err := holders(t, t.store.boot)
	if err != nil {
		return false, err
	}
	left := buryStep
	for _, id := range dead {
		// It was tested without the turn, perhaps between the making of its file and the lock. Its record, which follows
		// the lock, waits for this transaction.
		if alive, err := testConsumer(t.store.house, id); err != nil {
			return false, err
		} else if alive {
			continue
		}
		no, err := t.findConsumer(id)
		if err != nil {
			return false, err
		}
		if h := all[no]; h != nil && no != 0 && h.boot != "" {
			h.dead = !h.reboot
			var swept holdfast.Swept
			n, err := t.sweepHolders(holdfast.Sweep{Limit: left}, map[int64]*holder{no: h}, &swept)
			if err != nil {
				return false, err
			}
			if left -= n; left <= 0 {
				return true, nil
			}
		}
		if _, err := t.exec(endConsumer, blob(id[:])); err != nil {
			return false, err
		}
	}
	return false, nil
}

// tidyHouse says of the dead that a sweep has met that they have ended, so that nobody tests them again.
func (s *Store) tidyHouse(holders map[int64]*holder) {
	for _, h := range holders {
		if h.dead && h.boot != "" && !h.alive {
			removeConsumer(s.house, h.id)
		}
	}
}
