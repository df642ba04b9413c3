package sqlite

import (
	"context"
	"sync"
	"time"

	"github.com/holdfastq/holdfast"
)

// maxRecheck is the last of the pauses after which a change of the WAL is looked at again: its commit is seen later, by as
// much as the disk takes to sync, which is long when others keep it busy.
const maxRecheck = 2048 * time.Millisecond

// watcher is the one goroutine of a Store that wakes those who wait: after commits of our own, when the bell is rung by
// others, when a stranger's commit is seen, when a job is due, and every holdfast.Poll in case all that was lost. It
// runs from the first Wait on.
type watcher struct {
	store *Store

	mu      sync.Mutex
	waiters map[*waiter]struct{}
	due     int64 // when to look next because something is due; 0: not
	closed  bool
	running bool

	kicks chan struct{} // capacity 1
	stop  chan struct{}
	ended chan struct{}
}

func newWatcher(s *Store) *watcher {
	return &watcher{
		store: s, waiters: map[*waiter]struct{}{},
		kicks: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
	}
}

// add has a waiter told from now on.
func (w *watcher) add(one *waiter) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return holdfast.ErrClosed
	}
	if !w.running {
		if err := w.start(); err != nil {
			return err
		}
		w.running = true
	}
	w.waiters[one] = struct{}{}
	return nil
}

func (w *watcher) remove(one *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waiters, one)
}

func (w *watcher) start() error {
	c, err := openReader(w.store.path)
	if err != nil {
		return translate(w.store.path, err)
	}
	events, unwatch, err := w.store.bell.watch(w.store.path + "-wal")
	if err != nil {
		c.close()
		return err
	}
	go w.run(&versioner{r: w.store.readers, c: c, age: w.store.readers.current()}, events, unwatch)
	return nil
}

// close ends the watcher; who waits gets ErrClosed.
func (w *watcher) close() {
	w.mu.Lock()
	running := w.running
	if !w.closed {
		w.closed = true
		close(w.stop)
	}
	w.mu.Unlock()
	if running {
		<-w.ended
	}
}

// kick says that a commit of our own may be news.
func (w *watcher) kick() {
	select {
	case w.kicks <- struct{}{}:
	default:
	}
}

// wakeAt has the watcher look when a job is due.
func (w *watcher) wakeAt(due int64) {
	w.mu.Lock()
	earlier := due != 0 && (w.due == 0 || due < w.due)
	if earlier {
		w.due = due
	}
	w.mu.Unlock()
	if earlier {
		w.kick()
	}
}

func (w *watcher) run(v *versioner, events <-chan bellEvent, unwatch func()) {
	defer close(w.ended)
	defer v.close()
	defer unwatch()
	poll := time.NewTicker(holdfast.Poll)
	defer poll.Stop()
	due, again := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	defer due.Stop()
	defer again.Stop()
	pause := time.Millisecond
	again.Reset(pause) // a commit may be under way whose change of the WAL came before the watch
	for {
		w.setTimer(due)
		lost := false
		select {
		case <-w.stop:
			return
		case <-w.kicks:
		case <-poll.C:
			lost = true
		case <-due.C:
		case e := <-events:
			if e.WAL {
				pause = time.Millisecond
				again.Reset(pause)
			}
			if !e.Bell {
				continue
			}
		case <-again.C:
			if pause *= 2; pause <= maxRecheck {
				again.Reset(pause)
			}
			if !v.changed() {
				continue
			}
		}
		w.tell(lost)
	}
}

// setTimer sets the timer for the next due job.
func (w *watcher) setTimer(t *time.Timer) {
	w.mu.Lock()
	due := w.due
	w.mu.Unlock()
	if due == 0 {
		t.Reset(time.Hour)
		return
	}
	t.Reset(max(time.Until(time.UnixMilli(due)), 0))
}

// versioner tells whether commits of others have become visible. It keeps one connection: the number that it compares
// means something on that connection alone.
type versioner struct {
	r    *readers
	c    *conn
	age  int
	seen int64
}

// changed says whether there was a commit since the last call; in doubt there was.
func (v *versioner) changed() bool {
	if age := v.r.current(); age != v.age || v.c == nil {
		v.close()
		var err error
		if v.c, err = openReader(v.r.path); err != nil {
			v.c = nil
			return true
		}
		v.age, v.seen = age, 0
	}
	now := int64(-1)
	err := one(v.c, "pragma data_version", func(r row) { now = r.int(0) })
	if err == nil && now == v.seen {
		return false
	}
	v.seen = now
	return true
}

func (v *versioner) close() {
	if v.c != nil {
		v.c.close()
	}
}

// tell looks once and wakes those who have something to find. If news may have been lost (a process was killed between
// its commit and its ring), what counts as news alone counts always.
func (w *watcher) tell(lost bool) {
	w.mu.Lock()
	waiters := make([]*waiter, 0, len(w.waiters))
	for one := range w.waiters {
		waiters = append(waiters, one)
	}
	w.due = 0
	w.mu.Unlock()
	if len(waiters) == 0 {
		return
	}
	var nextDue int64
	w.store.readers.read(context.Background(), func(c *conn) error { // what fails is looked at again at the next poll
		l := look{c: c, clock: w.store.clock(), queues: map[string]queueLook{}, lost: lost}
		defer func() { nextDue = l.nextDue }()
		tick, err := w.store.tick()
		if err != nil {
			return err
		}
		for _, one := range waiters {
			found, err := l.finds(one, tick)
			if err != nil {
				return err
			}
			if found {
				select {
				case one.news <- tick:
				default: // told already
				}
			}
		}
		return nil
	})
	w.wakeAt(nextDue)
}
