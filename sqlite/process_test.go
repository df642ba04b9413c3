//go:build unix

package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfastq/holdfast"
)

// roleEnv names what this binary does instead of its tests, as another process.
const roleEnv = "HOLDFAST_SQLITE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch what := os.Getenv(roleEnv); what {
	case "":
		goleak.VerifyTestMain(m)
	default:
		if err := play(what, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stdout, err)
			os.Exit(1)
		}
	}
}

// play does what another process does in a test.
func play(what string, args []string) error {
	ctx := context.Background()
	s, err := Open(ctx, args[0])
	if err != nil {
		return err
	}
	switch what {
	case "open":
		return s.Close()
	case "put": // so many jobs, one at a time, for each line read if there is a pipe
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(os.Stdin)
		for range n {
			if len(args) > 2 && !lines.Scan() {
				break
			}
			if _, err := s.Insert(ctx, holdfast.Insert{Jobs: newJobs(1)}); err != nil {
				return err
			}
		}
		return s.Close()
	case "hold": // claims, says so, and never ends by itself
		c := holdfast.Consumer{ID: holdfast.NewID(), Name: "holder", PID: os.Getpid(), MaxCrashes: 3}
		if err := s.Record(ctx, holdfast.Records{Consumers: []holdfast.Consumer{c}}); err != nil {
			return err
		}
		claimed, err := s.Claim(ctx, holdfast.Claim{Consumer: c.ID, Number: 1, Queues: []string{"bench"}, N: 10, Lease: time.Hour, Suspects: 1})
		if err != nil {
			return err
		}
		fmt.Println("holds", len(claimed.Jobs))
		io.Copy(io.Discard, os.Stdin)
		return s.Close()
	}
	return fmt.Errorf("no role %q", what)
}

// openFolder is a folder that every user may enter, with the test binary in it.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "holdfast-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "binary"), binary, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// asNobody opens a store as a user without rights and gives what that process said.
func asNobody(t *testing.T, dir, path string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "binary"), path)
	cmd.Env, cmd.Dir = []string{roleEnv + "=open"}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("opening %s as nobody succeeded", path)
	}
	return string(out)
}

// starts starts another process and waits for its first line.
func starts(t *testing.T, cmd *exec.Cmd, want string) io.WriteCloser {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != want+"\n" {
		t.Fatalf("the other process said %q %v, want %q", line, err, want)
	}
	return in
}

func TestJobsOfAKilledProcessAreBackWithinASecond(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	if _, err := s.Insert(ctx, holdfast.Insert{Jobs: newJobs(3)}); err != nil {
		t.Fatal(err)
	}
	own := holdfast.Consumer{ID: holdfast.NewID(), PID: os.Getpid()}
	if err := s.Record(ctx, holdfast.Records{Consumers: []holdfast.Consumer{own}}); err != nil {
		t.Fatal(err)
	}
	other := role(t, "hold", s.path)
	starts(t, other, "holds 3")
	claimed, err := s.Claim(ctx, holdfast.Claim{Consumer: own.ID, Number: 1, Queues: []string{"bench"}, N: 3, Lease: time.Minute})
	if err != nil || len(claimed.Jobs) != 0 {
		t.Fatalf("got %d jobs %v, want none while the other holds them", len(claimed.Jobs), err)
	}
	killed := time.Now()
	other.Process.Kill()
	other.Wait()
	if _, err := s.Wait(ctx, holdfast.Wait{Queues: []string{"bench"}, Since: claimed.Tick}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(killed); took > time.Second {
		t.Errorf("the jobs were back after %v, want a second at most", took)
	}
	claimed, err = s.Claim(ctx, holdfast.Claim{Consumer: own.ID, Number: 2, Queues: []string{"bench"}, N: 3, Lease: time.Minute})
	if err != nil || len(claimed.Jobs) != 3 {
		t.Fatalf("got %d jobs %v, want 3", len(claimed.Jobs), err)
	}
	info, attempts, err := s.Show(ctx, claimed.Jobs[0].Job)
	if err != nil || info.Deaths != 1 || info.Failures != 0 || len(attempts) != 2 || attempts[0].Outcome != holdfast.OutcomeDied {
		t.Errorf("got %d deaths, %d failures, attempts %+v %v; want one death that cost nothing", info.Deaths, info.Failures, attempts, err)
	}
	records, err := s.Records(ctx, holdfast.RecordsQuery{Consumers: true})
	if err != nil || len(records.Consumers) != 1 || records.Consumers[0].ID != own.ID {
		t.Errorf("got consumers %+v %v, want our own alone", records.Consumers, err)
	}
}

// A consumer that lives but let its lease end gives its job back without a death.
func TestEndedLeaseOfALivingConsumerIsNoDeath(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	own := holdfast.Consumer{ID: holdfast.NewID(), PID: os.Getpid()}
	if err := s.Record(ctx, holdfast.Records{Consumers: []holdfast.Consumer{own}}); err != nil {
		t.Fatal(err)
	}
	jobs := newJobs(1)
	if _, err := s.Insert(ctx, holdfast.Insert{Jobs: jobs}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(ctx, holdfast.Claim{Consumer: own.ID, Number: 1, Queues: []string{"bench"}, N: 1, Lease: time.Minute}); err != nil {
		t.Fatal(err)
	}
	s.shift(2 * time.Minute)
	swept, err := s.Sweep(ctx, holdfast.Sweep{Limit: 10})
	if err != nil || swept.Returned != 1 {
		t.Fatalf("got %+v %v, want one job returned", swept, err)
	}
	info, attempts, err := s.Show(ctx, jobs[0].ID)
	if err != nil || info.Deaths != 0 || attempts[0].Outcome != holdfast.OutcomeLost {
		t.Errorf("got %d deaths, attempts %+v %v; want no death", info.Deaths, attempts, err)
	}
}

// After a start of the machine every holder of before is dead, which is no death of a job's doing.
func TestReboot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	s := reopenTest(t, path)
	ctx := t.Context()
	jobs := newJobs(2)
	if _, err := s.Insert(ctx, holdfast.Insert{Jobs: jobs}); err != nil {
		t.Fatal(err)
	}
	own := holdfast.Consumer{ID: holdfast.NewID(), PID: os.Getpid()}
	if err := s.Record(ctx, holdfast.Records{Consumers: []holdfast.Consumer{own}}); err != nil {
		t.Fatal(err)
	}
	claim := holdfast.Claim{Consumer: own.ID, Number: 1, Queues: []string{"bench"}, N: 1, Lease: time.Hour}
	if _, err := s.Claim(ctx, claim); err != nil {
		t.Fatal(err)
	}
	claim.Consumer, claim.Unattended = holdfast.ID{}, true
	if _, err := s.Claim(ctx, claim); err != nil {
		t.Fatal(err)
	}
	s.Close()
	mustExec(t, plainDB(t, path), "update holdfast_meta set boot_id = 'before'", "update holdfast_consumers set boot_id = 'before' where boot_id is not null")

	s = reopenTest(t, path)
	info, attempts, err := s.Show(ctx, jobs[0].ID)
	if err != nil || info.State != holdfast.Waiting || info.Why != holdfast.ReasonSwept || info.Deaths != 0 || attempts[0].Outcome != holdfast.OutcomeLost {
		t.Errorf("the job of a process: got %v %v, %d deaths, %+v %v; want it waiting, no death", info.State, info.Why, info.Deaths, attempts, err)
	}
	info, _, err = s.Show(ctx, jobs[1].ID)
	if left := time.Until(info.LeaseUntil); err != nil || info.State != holdfast.Running || left < 20*time.Second || left > 40*time.Second {
		t.Errorf("the job without a process: got %v for %v %v, want it running for about 30 s", info.State, left, err)
	}
}

// Each put of another process wakes a waiter, soon, and is there when it wakes.
func TestWaitSeesTheCommitsOfAnotherProcess(t *testing.T) {
	s := openTest(t)
	ctx := t.Context()
	const puts = 50
	other := role(t, "put", s.path, strconv.Itoa(puts), "each")
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	consumer := holdfast.NewID()
	for i := range puts {
		claimed, err := s.Claim(ctx, holdfast.Claim{Consumer: consumer, Number: int64(2*i + 1), Queues: []string{"bench"}, N: 1, Lease: time.Minute})
		if err != nil || len(claimed.Jobs) != 0 {
			t.Fatalf("got %d jobs %v, want none yet", len(claimed.Jobs), err)
		}
		fmt.Fprintln(in)
		began := time.Now()
		if _, err := s.Wait(ctx, holdfast.Wait{Queues: []string{"bench"}, Since: claimed.Tick}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > holdfast.Poll/2 {
			t.Errorf("put %d woke the waiter after %v", i, took)
		}
		claimed, err = s.Claim(ctx, holdfast.Claim{Consumer: consumer, Number: int64(2*i + 2), Queues: []string{"bench"}, N: 1, Lease: time.Minute})
		if err != nil || len(claimed.Jobs) != 1 {
			t.Fatalf("put %d: got %d jobs %v, want one", i, len(claimed.Jobs), err)
		}
	}
	in.Close()
	if err := other.Wait(); err != nil {
		t.Error(err)
	}
}
