package supervise

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	lossyBytes = 1 << 20     // that wait to be written
	lossyWait  = time.Second // the longest that a Write waits for room
)

// Lossy is a writer that may be slow, or stand still, behind one that never waits for longer than a second: what finds
// no room by then is dropped, and counted in a line of its own once there is room again.
type Lossy struct {
	to io.Writer

	mu      sync.Mutex
	changed *sync.Cond
	pending []byte
	busy    bool
	closed  bool
	stuck   bool // the last Write found no room: the next ones do not wait
	dropped int
}

// NewLossy starts a writer; Close ends it.
func NewLossy(to io.Writer) *Lossy {
	l := &Lossy{to: to}
	l.changed = sync.NewCond(&l.mu)
	go l.run()
	return l
}

// Write takes whole lines. It never fails.
func (l *Lossy) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) > 0 && len(l.pending)+len(p) > lossyBytes && !l.stuck {
		late := false
		timer := time.AfterFunc(lossyWait, func() {
			l.mu.Lock()
			late = true
			l.changed.Broadcast()
			l.mu.Unlock()
		})
		for len(l.pending) > 0 && len(l.pending)+len(p) > lossyBytes && !late && !l.closed {
			l.changed.Wait()
		}
		timer.Stop()
	}
	if len(l.pending) > 0 && len(l.pending)+len(p) > lossyBytes || l.closed {
		l.stuck = true
		l.dropped++
		return len(p), nil
	}
	l.stuck = false
	if l.dropped > 0 {
		l.pending = fmt.Appendf(l.pending, "… %d lines are missing here: whoever reads this is too slow\n", l.dropped)
		l.dropped = 0
	}
	l.pending = append(l.pending, p...)
	l.changed.Broadcast()
	return len(p), nil
}

func (l *Lossy) run() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for len(l.pending) == 0 && !l.closed {
			l.changed.Wait()
		}
		if len(l.pending) == 0 {
			return
		}
		p := l.pending
		l.pending, l.busy = nil, true
		l.mu.Unlock()
		_, _ = l.to.Write(p) // whom could it be told?
		l.mu.Lock()
		l.busy = false
		l.changed.Broadcast()
	}
}

// Close takes no more and waits until all is written, but not for longer than a second.
func (l *Lossy) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.dropped > 0 {
		l.pending = fmt.Appendf(l.pending, "… %d lines are missing here: whoever reads this is too slow\n", l.dropped)
		l.dropped = 0
	}
	l.changed.Broadcast()
	late := false
	timer := time.AfterFunc(lossyWait, func() {
		l.mu.Lock()
		late = true
		l.changed.Broadcast()
		l.mu.Unlock()
	})
	defer timer.Stop()
	for (len(l.pending) > 0 || l.busy) && !late {
		l.changed.Wait()
	}
	return nil
}
