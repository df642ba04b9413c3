package pipeline

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/supervise"
	"github.com/holdfastq/holdfast/sqlite"
)

// killedDemo names, in the environment of a process of ours, the folder in which to run the demo.
const killedDemo = "HOLDFAST_TEST_PIPELINE_DEMO"

func TestMain(m *testing.M) {
	supervise.Shim() // of commands, which is this executable
	if dir := os.Getenv(killedDemo); dir != "" {
		if err := quickDemo(context.Background(), dir, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// quickDemo is the demo at full speed, on a real store and the real clock.
func quickDemo(ctx context.Context, dir string, out io.Writer) error {
	store, err := sqlite.Open(ctx, filepath.Join(dir, "holdfast.db"))
	if err != nil {
		return err
	}
	defer store.Close()
	none := [2]time.Duration{holdfast.No, holdfast.No}
	return Demo(ctx, store, DemoConfig{
		Dir: filepath.Join(dir, "demo"), Every: time.Millisecond, Pace: none, Backoff: [2]time.Duration{time.Millisecond, time.Millisecond},
		ManagerEvery: 50 * time.Millisecond, CleanerEvery: 50 * time.Millisecond, Out: out,
	})
}

// TestEveryFileHasItsEndHoweverOftenTheDemoIsKilled kills the whole demo, with SIGKILL, at lines that chance chooses.
func TestEveryFileHasItsEndHoweverOftenTheDemoIsKilled(t *testing.T) {
	dir := t.TempDir()
	for range 15 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), killedDemo+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for left := 5 + rand.N(40); left > 0 && lines.Scan(); left-- {
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("it ended by itself: %v", err)
		}
		_ = cmd.Wait() // killed
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	store, err := sqlite.Open(ctx, filepath.Join(dir, "holdfast.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	finish(t, store, filepath.Join(dir, "demo"))
	everyInputHasItsEnd(t, store, filepath.Join(dir, "demo"))
}

// finish lets a consumer and a cleaner do what is left, and a producer put what it finds without a job.
func finish(t *testing.T, store holdfast.Store, dir string) {
	t.Helper()
	folder, err := OpenFolder(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	c, err := GenerateConfig{Name: "demo", In: "in", Logger: quietLogger}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if err := (&generator{GenerateConfig: c, store: store, folder: folder}).resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := func(holdfast.Info, holdfast.Finished) {
		if counts, err := store.Counts(ctx); err == nil && len(counts) == 1 && counts[0].Of(holdfast.Waiting)+counts[0].Of(holdfast.Scheduled)+counts[0].Of(holdfast.Running) == 0 {
			cancel()
		}
	}
	// One more job, so that there is something to finish whatever chance chose.
	if err := (&generator{GenerateConfig: c, store: store, folder: folder}).turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = Transform(ctx, store, folder, TransformConfig{In: "in", Process: (&demo{}).process, Engine: holdfast.Config{
		MaxAttempts: 3, SweepEvery: 50 * time.Millisecond, Backoff: holdfast.Backoff(time.Millisecond, time.Millisecond), Finished: ended, Logger: quietLogger,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CleanOnce(t.Context(), store, folder, CleanConfig{Logger: quietLogger}); err != nil {
		t.Fatal(err)
	}
}
