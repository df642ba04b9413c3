//go:build amd64 || arm64

package power

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestKilledAtEverySystemCallLosesNothing kills a life at the first system call that changes a file, at the second, and
// so on until it lives to its end. What is left must have everything that was acknowledged, and must work.
func TestKilledAtEverySystemCallLosesNothing(t *testing.T) {
	began := time.Now()
	every := 1
	if raceDetector {
		every = 24
	}
	kills, bad := 0, 0
	var mu sync.Mutex
	var next, ended atomic.Int64
	var wait sync.WaitGroup
	var gateErr error
	for range max(*workers, 1) {
		wait.Go(func() {
			for ended.Load() == 0 {
				n := int(next.Add(int64(every)))
				killed, wrongs, err := killAt(t, n)
				mu.Lock()
				if killed {
					kills++
				} else {
					ended.Store(1)
				}
				bad += len(wrongs)
				gateErr = errors.Join(gateErr, err)
				mu.Unlock()
				for _, w := range wrongs {
					t.Errorf("killed at call %d (-seed %d): %s: %s", n, *seed, w.sort, w.what)
				}
			}
		})
	}
	wait.Wait()
	needGate(t, gateErr)
	line, _ := json.Marshal(map[string]any{"seed": *seed, "steps": scripted(), "kills": kills, "wrong": bad, "seconds": time.Since(began).Seconds()})
	fmt.Println(string(line))
}

// killAt kills a life at its n-th call; false if it has fewer.
func killAt(t *testing.T, n int) (killed bool, bad []wrong, err error) {
	s, err := newScratch()
	if err != nil {
		return false, nil, err
	}
	defer s.remove()
	a := args{Dir: s.dir, Seed: *seed, Operations: scripted()}
	if err := os.Mkdir(filepath.Join(a.Dir, "db"), 0o700); err != nil {
		return false, nil, err
	}
	p, err := pass(t, "life", a, func(i int, _ knock) verdict { return verdict{kill: i == n} })
	if err != nil {
		return false, nil, err
	}
	if !p.killed && p.err != nil {
		return false, nil, fmt.Errorf("call %d: %w\n%s", n, p.err, p.output)
	}
	return p.killed, survey(t, a), nil
}
