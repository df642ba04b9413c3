package supervise

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// deeds are what a hostile child does before it says ready; MARK is an argument that only its sleeps have.
var deeds = []string{
	`trap '' TERM`,
	`setsid sleep MARK &`,
	`( ( sleep MARK & ) & )`,
	`( trap '' TERM HUP INT; setsid sh -c 'sleep MARK & sleep MARK' & )`,
	`env -i setsid sh -c '( trap "" TERM; sleep MARK & ) &'`,
	`yes | head -c 3000000`,
	`head -c 3000000 /dev/zero | tr '\0' x`,
	`head -c 30000000 /dev/zero | tail -c 30000000 | wc -c`,
	`( while :; do sleep MARK & sleep 0.02; done ) &`,
	`exec 1>&2`,
	`( sleep MARK | sleep MARK ) &`,
	`sh -c 'kill -STOP $$' &`,
	`cd / && umask 077`,
}

// endings are how it goes on after that.
var endings = []string{`exit 0`, `exit 7`, `kill -KILL $$`, `sleep MARK`, `while :; do sleep MARK; done`, `exec sleep MARK`, `wait`}

func hostile(mark string) string {
	var script []string
	for _, i := range rand.Perm(len(deeds))[:1+rand.IntN(4)] {
		script = append(script, deeds[i])
	}
	script = append(script, `printf '\nready\n'`, endings[rand.IntN(len(endings))])
	return strings.ReplaceAll(strings.Join(script, "\n"), "MARK", mark)
}

// rounds is how many there are; HOLDFAST_TEST_ROUNDS says otherwise.
func rounds(def int) int {
	if n, err := strconv.Atoi(os.Getenv("HOLDFAST_TEST_ROUNDS")); err == nil && n > 0 {
		return n
	}
	return def
}

// TestHostileChildren: whatever a child does, and whenever it is told to end, nothing of it is left, and soon.
func TestHostileChildren(t *testing.T) {
	var all sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(rounds(40)))
	var slowest atomic.Int64
	for range 4 {
		all.Go(func() {
			for left.Add(-1) >= 0 && !t.Failed() {
				took := hostileRound(t)
				for old := slowest.Load(); int64(took) > old && !slowest.CompareAndSwap(old, int64(took)); old = slowest.Load() {
				}
			}
		})
	}
	all.Wait()
	t.Logf("from the word to end to the end, at most %v", time.Duration(slowest.Load()))
}

func hostileRound(t *testing.T) time.Duration {
	m := mark()
	script := hostile(m)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var ready time.Time
	var exit Exit
	exit, _ = sh(t, ctx, script, func(c *Command) {
		c.Line = func(l Line) {
			if string(l.Text) == "ready" {
				ready = time.Now()
				if rand.IntN(2) == 0 {
					cancel()
				} else {
					time.AfterFunc(time.Duration(rand.IntN(50))*time.Millisecond, cancel)
				}
			}
		}
	})
	took := time.Since(ready)
	if ready.IsZero() {
		took = 0 // told to end before it said so, or it ended
	}
	if still := bearing(m); len(still) > 0 || exit.Left != 0 || took > 2*time.Second || len(exit.Tail) > MaxTail {
		t.Errorf("left %v after %v, %v:\n%s", still, took, exit.String(), script)
	}
	return took
}

// TestHostileChildrenOfAKilledParent: the same, when the parent gets KILL with three of them.
func TestHostileChildrenOfAKilledParent(t *testing.T) {
	var slowest time.Duration
	for range rounds(40) / 10 {
		var marks, scripts []string
		for range 3 {
			marks = append(marks, mark())
			scripts = append(scripts, hostile(marks[len(marks)-1])+"\n")
		}
		p := startParent(t, scripts...)
		for range 1 + rand.IntN(3) {
			p.until("ready")
		}
		p.kill()
		began := time.Now()
		for i, m := range marks {
			gone(t, m, 2*time.Second)
			if t.Failed() {
				t.Fatal(scripts[i])
			}
		}
		slowest = max(slowest, time.Since(began))
	}
	t.Logf("after the parent's end, at most %v", slowest)
}
