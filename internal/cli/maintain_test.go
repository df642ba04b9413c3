package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestADryRunCountsWhatTheCleanerRemoves puts jobs that end at many ages and compares the two under many settings.
func TestADryRunCountsWhatTheCleanerRemoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, keep := range []string{
			"", "--keep-done=0", "--keep-done=1h --keep-failed=2h", "--keep-failed=0 --keep-cancelled=20m", "--keep-jobs=5",
			"--keep-jobs=3 --keep-done=30m", "--keep-jobs=1 --keep-done=forever --keep-failed=forever", "--keep-jobs=0 --keep-done=45m",
		} {
			p := newPerson(t)
			for n := range 12 {
				for _, queue := range []string{"a", "b"} {
					p.ok("put", queue, "1")
					lease, id := p.take(queue)
					switch (n*7 + len(queue)) % 3 {
					case 0:
						p.ok("done", lease)
					case 1:
						p.ok("fail", lease, "--final")
					default:
						p.ok("cancel", id)
						p.ok("release", lease)
					}
				}
				time.Sleep(11 * time.Minute) // of the bubble's clock
			}
			args := append([]string{"cleaner", "--once", "--jsonl"}, strings.Fields(keep)...)
			var would, did purgedView
			if err := json.Unmarshal([]byte(p.ok(append(args, "--dry-run")...)), &would); err != nil {
				t.Fatal(err)
			}
			before := p.ok("ls", "--limit", "0")
			if after := p.ok("ls", "--limit", "0"); after != before {
				t.Errorf("%s: a dry run changed the list", keep)
			}
			if err := json.Unmarshal([]byte(p.ok(args...)), &did); err != nil {
				t.Fatal(err)
			}
			if would.Removed != did.Removed || !would.DryRun {
				t.Errorf("%s: would remove %d, removed %d", keep, would.Removed, did.Removed)
			}
		}
	})
}

func TestManagerGivesBackAndEndsWhenTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPerson(t)
		p.ok("put", "q", "1")
		p.take("q", "--lease", "1m")
		p.ok("put", "q", "2", "--after", "30s")
		var cancel context.CancelFunc
		p.ctx, cancel = context.WithTimeout(p.ctx, 2*time.Minute)
		defer cancel()
		out := p.ok("manager")
		contains(t, out, "manager  0 given back, 1 due, 0 set aside, 0 cancelled", "manager  1 given back, 0 due")
		contains(t, p.talk, "manager looks every 5 s; Ctrl-C ends it", "manager ended")
		p.ctx = t.Context()
		if got, want := p.ok("manager", "--once"), "0 given back, 0 due, 0 set aside, 0 cancelled"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		contains(t, p.ok("manager", "--once", "--json"), `"due":0,"returned":0,"set_aside":0,"cancelled":0`)
	})
}

func TestCleanerSaysWhatItRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPerson(t)
		for n := range 3 {
			p.ok("put", "q", fmt.Sprint(n))
			lease, _ := p.take("q")
			p.ok("done", lease)
		}
		if got := p.ok("cleaner", "--once", "--keep-done", "0"); got != "removed 0" {
			t.Errorf("within ten minutes: %q", got)
		}
		time.Sleep(11 * time.Minute) // of the bubble's clock
		if got := p.ok("cleaner", "--dry-run", "--keep-done", "0"); got != "would remove 3: q 3" {
			t.Errorf("dry run: %q", got)
		}
		if got := p.ok("cleaner", "--once", "--keep-done", "0"); got != "removed 3" {
			t.Errorf("then: %q", got)
		}
	})
}

// TestCleanerKeepsAsTheConfigSays: the cleaner's section, a queue's own word over it, and a flag over the section.
func TestCleanerKeepsAsTheConfigSays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	text := "cleaner: {keep_done: 1h, keep_failed: 0}\nqueues: {long: {keep_done: forever}, short: {keep_done: 20m}}\n"
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p := newPerson(t)
		for _, queue := range []string{"long", "short", "other"} {
			for _, end := range []string{"done", "fail --final"} {
				p.ok("put", queue, "1")
				lease, _ := p.take(queue)
				p.ok(append(strings.Fields(end), lease)...)
			}
		}
		clean := func(flags ...string) string {
			return p.ok(append([]string{"cleaner", "--dry-run", "--config", file}, flags...)...)
		}
		time.Sleep(30 * time.Minute) // of the bubble's clock
		if got, want := clean(), "would remove 4: long 1, other 1, short 2"; got != want {
			t.Errorf("after half an hour: %q, want %q", got, want)
		}
		if got, want := clean("--keep-failed", "2h"), "would remove 1: short 1"; got != want {
			t.Errorf("with a flag: %q, want %q", got, want)
		}
		time.Sleep(time.Hour)
		if got, want := clean(), "would remove 5: long 1, other 2, short 2"; got != want {
			t.Errorf("after an hour and a half: %q, want %q", got, want)
		}
		if got, want := p.ok("cleaner", "--once", "--config", file), "removed 5"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
