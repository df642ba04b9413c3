package histories

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/holdfastq/holdfast"
)

// lossy is a store at the far end of a bad line: now and then a call never reaches it, or its answer never comes back.
// The caller cannot tell these apart: ErrUnknown.
type lossy struct {
	holdfast.Store

	mu  sync.Mutex
	rng *rand.Rand
}

func newLossy(s holdfast.Store, rng *rand.Rand) *lossy { return &lossy{Store: s, rng: rng} }

// fate says what happens to one call.
func (l *lossy) fate() (before, after bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.rng.IntN(100)
	return at == 0, at == 1 || at == 2
}

var errLine = fmt.Errorf("%w: the line is bad", holdfast.ErrUnknown)

// over makes a call over the line.
func over[T any](l *lossy, do func() (T, error)) (T, error) {
	var none T
	before, after := l.fate()
	if before {
		return none, errLine
	}
	answer, err := do()
	if after && err == nil {
		return none, errLine
	}
	return answer, err
}

func (l *lossy) Insert(ctx context.Context, in holdfast.Insert) ([]holdfast.Inserted, error) {
	return over(l, func() ([]holdfast.Inserted, error) { return l.Store.Insert(ctx, in) })
}

func (l *lossy) Claim(ctx context.Context, c holdfast.Claim) (holdfast.Claimed, error) {
	return over(l, func() (holdfast.Claimed, error) { return l.Store.Claim(ctx, c) })
}

func (l *lossy) Extend(ctx context.Context, beats []holdfast.Beat) ([]holdfast.Beaten, error) {
	return over(l, func() ([]holdfast.Beaten, error) { return l.Store.Extend(ctx, beats) })
}

func (l *lossy) Finish(ctx context.Context, outcomes []holdfast.Outcome) ([]holdfast.Finished, error) {
	return over(l, func() ([]holdfast.Finished, error) { return l.Store.Finish(ctx, outcomes) })
}

func (l *lossy) Sweep(ctx context.Context, s holdfast.Sweep) (holdfast.Swept, error) {
	return over(l, func() (holdfast.Swept, error) { return l.Store.Sweep(ctx, s) })
}

func (l *lossy) Purge(ctx context.Context, p holdfast.Purge) (holdfast.Purged, error) {
	return over(l, func() (holdfast.Purged, error) { return l.Store.Purge(ctx, p) })
}

func (l *lossy) Amend(ctx context.Context, a holdfast.Amend) (holdfast.Amended, error) {
	return over(l, func() (holdfast.Amended, error) { return l.Store.Amend(ctx, a) })
}
