package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/holdfastq/holdfast"
)

// Bounds of one transaction. A larger call goes alone.
const (
	maxSteps = 4096
	maxBytes = 8 << 20
	maxTime  = 20 * time.Millisecond // from then on nothing more of its kind begins in it
)

// maxWAL is the size of the WAL file from which on it is emptied.
const maxWAL = 64 << 20

// The order of calls inside a transaction: a heartbeat never waits behind an import.
const (
	turnExtend = iota
	turnFinish
	turnAmend
	turnInsert
	turnClaim
	turnSweep
	turnPurge
)

// call is one call of a Store's method on its way through the writer.
type call struct {
	order  int
	steps  int
	bytes  int
	do     func(*tx) error // may run again after a rollback: it sets its answers anew each time
	err    error
	done   chan error
	joined bool // it is in a transaction; guarded by writer.mu
	did    bool // its step was done in the present transaction
	late   bool // an earlier transaction had no time left for it
}

// urgent says that it goes before what is not: a heartbeat, whose lease runs out meanwhile, and an outcome.
func (c *call) urgent() bool { return c.order <= turnFinish }

// inOrder is the order of work inside a transaction: first come those that are late, in their turn.
func inOrder(a, b *call) int {
	switch {
	case a.late && b.late:
		return 0
	case a.late:
		return -1
	case b.late:
		return 1
	}
	return a.order - b.order
}

// writer is the one goroutine of a Store that writes. What waits when it gets its turn goes into one transaction with
// one sync; a lone caller waits for nobody.
type writer struct {
	store *Store
	c     *conn

	mu      sync.Mutex
	queue   []*call
	closed  bool
	inLine  bool          // it waits for its turn
	left    bool          // close did not wait for it
	commits int64         // so far
	work    chan struct{} // capacity 1: there is something in queue, or it is closed
	ended   chan struct{}

	broken  bool // a commit has failed: nothing is acknowledged before recover has succeeded
	emptyAt time.Time
}

func newWriter(s *Store, c *conn) *writer {
	return &writer{store: s, c: c, work: make(chan struct{}, 1), ended: make(chan struct{})}
}

// do hands a call to the writer and waits for its answer. A context that ends before the call has joined a transaction
// takes it back; afterwards the outcome is unknown to the caller.
func (w *writer) do(ctx context.Context, order, steps, bytes int, do func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &call{order: order, steps: steps, bytes: bytes, do: do, done: make(chan error, 1)}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return holdfast.ErrClosed
	}
	w.queue = append(w.queue, c)
	w.mu.Unlock()
	w.wake()
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.joined {
		return fmt.Errorf("%w: %w", holdfast.ErrUnknown, ctx.Err())
	}
	w.queue = slices.DeleteFunc(w.queue, func(other *call) bool { return other == c })
	return ctx.Err()
}

func (w *writer) wake() {
	select {
	case w.work <- struct{}{}:
	default:
	}
}

// close answers the calls under way, ends the writer and closes its connection and its turn. A writer that waits in vain for its turn,
// with no call left, is left to itself: another process may be frozen with it, and nobody has to wait for that one.
func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wake()
	ticker := time.NewTicker(leaveAfter / 4)
	defer ticker.Stop()
	for inVain := 0; ; {
		select {
		case <-w.ended:
			return errors.Join(w.c.close(), w.store.turn.close())
		case <-ticker.C:
		}
		w.mu.Lock()
		if inVain++; !w.inLine || len(w.queue) > 0 {
			inVain = 0
		}
		w.left = inVain >= 4
		left := w.left
		w.mu.Unlock()
		if left {
			return nil
		}
	}
}

// leaveAfter is how long close waits for a writer that waits for nothing but its turn.
const leaveAfter = time.Second

// run works until close.
func (w *writer) run() {
	defer close(w.ended)
	for {
		w.mu.Lock()
		idle, closed := len(w.queue) == 0, w.closed
		w.mu.Unlock()
		switch {
		case !idle:
			w.turn()
		case closed:
			w.leave()
			return
		default:
			<-w.work
		}
	}
}

// leave closes what a writer has that close did not wait for.
func (w *writer) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left {
		w.c.close()
		w.store.turn.close()
	}
}

// turn takes the turn among the writers of all processes, does one batch, gives the turn and answers.
func (w *writer) turn() {
	if err := w.line(); err != nil {
		w.answer(w.collect(), err)
		return
	}
	calls, err := w.batch()
	w.store.turn.give()
	w.answer(calls, err)
	runtime.Gosched() // whoever was answered and has more to write gets into the next transaction
	w.tidy()
}

// line waits for the turn.
func (w *writer) line() error {
	w.mu.Lock()
	w.inLine = true
	w.mu.Unlock()
	err := w.store.turn.take()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inLine = false
	if w.left {
		return holdfast.ErrClosed
	}
	return err
}

func (w *writer) answer(calls []*call, err error) {
	for _, c := range calls {
		if c.err == nil {
			c.err = err
		}
		c.done <- c.err
	}
}

// collect takes what waits, as much as one transaction may have, in the order of work inside it. What is urgent comes
// from anywhere in the queue, the others as they stand there; of both at least one, so that neither keeps the other out.
func (w *writer) collect() []*call {
	w.mu.Lock()
	defer w.mu.Unlock()
	var urgent, others []*call
	for _, c := range w.queue {
		if c.urgent() {
			urgent = append(urgent, c)
		} else {
			others = append(others, c)
		}
	}
	steps, bytes := 0, 0
	fits := func(from []*call) (n int) {
		for _, c := range from {
			if n > 0 && (steps+c.steps > maxSteps || bytes+c.bytes > maxBytes) {
				break
			}
			steps += c.steps
			bytes += c.bytes
			n++
		}
		return n
	}
	n, m := fits(urgent), fits(others)
	w.queue = slices.Concat(urgent[n:], others[m:])
	urgent, others = urgent[:n], others[:m]
	slices.SortStableFunc(urgent, inOrder)
	slices.SortStableFunc(others, inOrder)
	calls := slices.Concat(urgent, others)
	for _, c := range calls {
		c.joined = true
	}
	return calls
}

// putBack returns calls that did not get into the transaction: they go before all others of their kind in the next one.
func (w *writer) putBack(calls []*call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range calls {
		c.joined, c.late = false, true
	}
	w.queue = append(calls, w.queue...)
}

// batch does one transaction and gives the calls to answer; those without an error of their own get the one returned.
func (w *writer) batch() ([]*call, error) {
	if w.broken {
		if err := w.recover(); err != nil {
			return w.collect(), translate(w.store.path, err)
		}
	}
	if err := w.begin(w.abandoned); err != nil {
		return w.collect(), translate(w.store.path, err)
	}
	calls := w.collect() // only now: whoever gave up meanwhile knows that nothing has happened
	if len(calls) == 0 {
		w.c.exec("rollback")
		return nil, nil
	}
	t, rest, err := w.steps(calls, false)
	if err != nil && !exhausted(err) {
		if err = w.again(); err == nil {
			t, rest, err = w.steps(calls, true)
		}
	}
	if err != nil {
		w.rollback()
		return calls, translate(w.store.path, err)
	}
	if len(rest) > 0 {
		calls = slices.DeleteFunc(calls, func(c *call) bool { return !c.did })
		w.putBack(rest)
	}
	return calls, w.commit(t)
}

const beginImmediate = `begin immediate`

// begin opens the write transaction. A stranger may have one open, such as a caller's with a Join: waiting for it is
// all that can be done, unless nobody wants it any more, and no caller hears of it.
func (w *writer) begin(abandoned func() bool) error {
	for {
		_, err := w.c.exec(beginImmediate)
		if err == nil || !busy(err) {
			return err
		}
		if abandoned() {
			return fmt.Errorf("%w: another program kept the database locked", holdfast.ErrClosed)
		}
	}
}

// abandoned says that nobody waits for the writer any more, or that the store is being closed.
func (w *writer) abandoned() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed || len(w.queue) == 0
}

func (w *writer) closing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// again rolls back and begins anew.
func (w *writer) again() error {
	w.rollback()
	return w.begin(w.closing)
}

func (w *writer) rollback() {
	if !w.c.autocommit() { // some failures have rolled back by themselves
		w.c.exec("rollback")
	}
}

// steps does the calls inside the open transaction; for the rest there was no time. What is urgent and the others have
// maxTime each, so that of both some is done. With care each call has a savepoint, so that one whose statement fails is
// undone alone and gets the error; without, any failure is everybody's.
func (w *writer) steps(calls []*call, careful bool) (t *tx, rest []*call, err error) {
	t = w.store.newTx(w.c)
	t.careful = careful
	began := time.Now()
	for i, c := range calls {
		if i > 0 && c.urgent() != calls[i-1].urgent() {
			began = time.Now()
		} else if c.did = i == 0 || time.Since(began) <= maxTime; !c.did {
			rest = append(rest, c)
			continue
		}
		c.did, c.err = true, nil
		if careful {
			err = w.alone(t, c)
		} else {
			err = c.do(t)
		}
		if err != nil {
			return t, nil, err
		}
	}
	return t, rest, t.writeSums()
}

// alone does one call so that its failure leaves nothing behind. Only what went wrong with the whole transaction is an
// error here.
func (w *writer) alone(t *tx, c *call) error {
	if _, err := w.c.exec("savepoint one"); err != nil {
		return err
	}
	before, handed := t.swapSums(), len(t.handed)
	c.err = c.do(t)
	if c.err == nil {
		t.mergeSums(before)
		_, err := w.c.exec("release one")
		return err
	}
	if exhausted(c.err) || w.c.autocommit() {
		err := c.err
		c.err = nil // it is everybody's
		return err
	}
	c.err = translate(w.store.path, c.err)
	t.sums, t.last = before, nil
	t.handed = t.handed[:handed]
	t.forget()
	if _, err := w.c.exec("rollback to one"); err != nil {
		return err
	}
	_, err := w.c.exec("release one")
	return err
}

// maxBusy bounds how often a commit is tried again that found the database locked; each waits for seconds itself.
const maxBusy = 10

// commit makes the transaction durable, then rings the bell. What a failed commit has left behind nobody knows.
func (w *writer) commit(t *tx) error {
	_, err := w.c.exec("commit")
	for range maxBusy {
		if err == nil || !busy(err) || w.c.autocommit() {
			break
		}
		_, err = w.c.exec("commit") // the transaction is still open
	}
	if err != nil {
		w.broken = true
		w.rollback()
		return fmt.Errorf("%w: commit: %w", holdfast.ErrUnknown, translate(w.store.path, err))
	}
	w.mu.Lock()
	w.commits++
	w.mu.Unlock()
	w.store.known.learn(t)
	w.store.hands.keep(t.handed)
	if len(t.ready) > 0 || t.asked {
		w.store.bell.ring(len(t.ready) > 0, t.asked) // a lost hint costs a poll, not a job
	}
	if len(t.ready) > 0 || t.asked || t.nextDue != 0 {
		w.store.watcher.kick()
	}
	return nil
}

// recover opens all connections anew and has the whole WAL copied and synced, so that what is on disk is known again.
func (w *writer) recover() error {
	w.store.readers.renew()
	w.c.close()
	c, err := w.store.openWriter()
	if err != nil {
		return fmt.Errorf("after a failed commit: %w", err)
	}
	w.c = c
	emptied, err := emptyWAL(w.c)
	if err == nil && !emptied {
		err = errors.New("a reader is in the way")
	}
	if err == nil {
		err = syncFolder(w.store.path) // the -wal may be a new one
	}
	if err != nil {
		return fmt.Errorf("checkpoint after a failed commit: %w", err)
	}
	w.broken = false
	return nil
}

// tidy empties a WAL that has grown large; a reader in the way makes it try again later.
func (w *writer) tidy() {
	if time.Now().Before(w.emptyAt) || w.broken {
		return
	}
	w.emptyAt = time.Now().Add(100 * time.Millisecond)
	info, err := os.Stat(w.store.path + "-wal")
	if err != nil || info.Size() < maxWAL {
		return
	}
	if err := w.line(); err != nil {
		return
	}
	defer w.store.turn.give()
	w.c.patience(0) // all processes wait for this turn: a reader is not waited for
	defer w.c.patience(writerPatience)
	if emptied, err := emptyWAL(w.c); err != nil || !emptied {
		w.emptyAt = time.Now().Add(time.Second)
	}
}

// emptyWAL copies the whole WAL into the database and cuts it off; false: somebody reads it still.
func emptyWAL(c *conn) (emptied bool, err error) {
	err = c.query("pragma wal_checkpoint(truncate)", func(r row) error { emptied = r.int(0) == 0; return nil })
	return emptied, err
}
