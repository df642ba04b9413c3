package holdfast

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// hold is one delivery in our hands: what its handler, the heartbeats and the reports share.
type hold struct {
	keeper  *keeper
	lease   Lease
	info    *Info     // in the claim's answer, which its jobs share
	claimed time.Time // when we got it, by our own clock
	cancel  context.CancelCauseFunc

	mu       sync.Mutex
	started  time.Time     // of the handler; zero: not yet
	until    time.Time     // by our own clock: nobody else can hold it before
	over     bool          // an outcome was handed in, or the lease is lost
	dropped  bool          // the keeper has forgotten it
	cause    error         // why its context is to end, said before there was one
	inTx     bool          // DoneIn was called: the caller's commit decides
	after    []func()      // to undo when it is dropped: timers
	gone     bool          // another may have the job
	lost     chan struct{} // closed when gone; made when somebody asks for it
	progress float64
	note     string
	log      logTail
	produced []NewJob
	result   []byte
}

func newHold(k *keeper, d *Delivery, claimed time.Time) *hold {
	return &hold{keeper: k, lease: d.Lease, info: &d.Info, claimed: claimed, until: claimed.Add(k.config.Lease)}
}

// begin notes that the handler starts. False: the job is no longer ours to start.
func (h *hold) begin(cancel context.CancelCauseFunc) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return false
	}
	h.started, h.cancel = time.Now(), cancel
	if h.cause != nil && cancel != nil {
		cancel(h.cause)
	}
	return true
}

// letGo claims the right to give the job back unstarted; from then on it cannot begin.
func (h *hold) letGo() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := !h.over && h.started.IsZero()
	h.over = h.over || first
	return first
}

// finish claims the right to report: true for the first caller alone.
func (h *hold) finish() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := !h.over
	h.over = true
	return first
}

// stop cancels the handler's context with a cause, at its begin if that is still to come.
func (h *hold) stop(cause error) {
	h.mu.Lock()
	cancel := h.cancel
	if h.cause == nil {
		h.cause = cause
	}
	h.mu.Unlock()
	if cancel != nil {
		cancel(cause)
	}
}

// lose ends our hold: another may have the job.
func (h *hold) lose() {
	h.mu.Lock()
	if !h.gone && h.lost != nil {
		close(h.lost)
	}
	h.gone, h.over = true, true
	h.mu.Unlock()
	h.stop(ErrLeaseLost)
}

// lostChan is closed when another may have the job.
func (h *hold) lostChan() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost == nil {
		h.lost = make(chan struct{})
		if h.gone {
			close(h.lost)
		}
	}
	return h.lost
}

// unstarted says whether the job is in hand but its handler has not started.
func (h *hold) unstarted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.started.IsZero() && !h.over
}

// beat makes the next heartbeat; false when there is none to send. A job whose outcome is on its way is kept alive until
// the store has answered: it may be out of reach.
func (h *hold) beat(length time.Duration) (Beat, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone || h.inTx || h.dropped {
		return Beat{}, false
	}
	b := Beat{Lease: h.lease, For: length, Progress: h.progress, Note: h.note, Log: h.log.take()}
	if !h.started.IsZero() {
		b.Started, b.Ran = true, time.Since(h.started)
	}
	return b, true
}

// beaten notes that a heartbeat got through; unsent that one did not, with its part of the log.
func (h *hold) beaten(until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until = until
}

func (h *hold) unsent(log []byte) {
	if len(log) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	later := h.log.take()
	h.log.write(log)
	h.log.write(later)
}

// reported says that an outcome was handed in: who then hears that the lease is gone has heard nothing new.
func (h *hold) reported() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.over || h.inTx
}

// overdue says whether no heartbeat got through for a whole lease.
func (h *hold) overdue() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().After(h.until)
}

// outcome makes the report of what the handler returned.
func (h *hold) outcome(c *Config, err error) Outcome {
	text := ""
	if err != nil {
		text = cut(err.Error(), MaxErrorBytes) // foreign code: not under the lock
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	o := Outcome{Lease: h.lease, Log: h.log.take()}
	if !h.started.IsZero() {
		o.Took = time.Since(h.started)
	}
	var v *verdict
	var f *fileError
	switch {
	case err == nil:
		o.Kind, o.Result, o.New = OutcomeDone, h.result, h.produced
	case errors.As(err, &v) && v.released:
		o.Kind, o.After = OutcomeReleased, v.after
	default:
		o.Kind, o.Error, o.MaxAttempts = OutcomeFailed, text, c.MaxAttempts
		o.After = min(max(c.Backoff(h.info.Failures+1), 0), MaxDelay)
		if v != nil {
			o.Final = v.final
			if v.timed {
				o.After = v.after
			}
		}
		if errors.As(err, &f) {
			if file, jsonErr := json.Marshal(f.file); jsonErr == nil && len(file) <= MaxDataBytes {
				o.Attached, o.Result = true, file
			}
		}
	}
	return o
}

// call runs a handler and makes a panic the attempt's failure.
func call(ctx context.Context, h *hold, f func(context.Context, *hold) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	err = f(ctx, h)
	if err != nil {
		_ = err.Error() // a panic in there is the handler's too
	}
	return err
}

// logTail keeps the last MaxLogBytes of an attempt's log that were not sent yet.
type logTail struct{ buf []byte }

func (l *logTail) write(p []byte) {
	l.buf = append(l.buf, p...)
	if over := len(l.buf) - MaxLogBytes; over > 0 {
		rest := l.buf[over:]
		if i := bytes.IndexByte(rest, '\n'); i >= 0 && i < len(rest)-1 {
			rest = rest[i+1:] // whole lines
		}
		l.buf = append(l.buf[:0], rest...)
	}
}

func (l *logTail) take() []byte {
	out := l.buf
	l.buf = nil
	return out
}

// Write adds to the attempt's log.
func (h *hold) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log.write(p)
	return len(p), nil
}

func (h *hold) logger() *slog.Logger { return slog.New(slog.NewTextHandler(h, nil)) }
