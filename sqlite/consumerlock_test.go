package sqlite

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
)

// newHouse makes a house without a database.
func newHouse(t *testing.T) string {
	t.Helper()
	dir, err := openHouse(filepath.Join(t.TempDir(), "app.db"))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestConsumerLivesWhileItsLockIsHeld(t *testing.T) {
	dir, id := newHouse(t), holdfast.NewID()
	alive := func(want bool) {
		t.Helper()
		if got, err := testConsumer(dir, id); err != nil || got != want {
			t.Fatalf("consumer alive: %v, %v; want %v", got, err, want)
		}
	}
	alive(false)
	lock, err := holdConsumer(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	alive(true)
	alive(true) // the test itself let go of nothing
	if err := removeConsumer(dir, id); err != nil {
		t.Fatal(err)
	}
	alive(true) // and nobody removes a living one's file
	if ids, err := listConsumers(dir); err != nil || len(ids) != 1 || ids[0] != id {
		t.Fatalf("consumers: %v, %v; want %v", ids, err, id)
	}
	if err := lock.release(); err != nil {
		t.Fatal(err)
	}
	alive(false)
	if ids, err := listConsumers(dir); err != nil || len(ids) != 0 {
		t.Fatalf("consumers after release: %v, %v", ids, err)
	}
}

func TestDeadConsumerIsTidiedUp(t *testing.T) {
	dir, id := newHouse(t), holdfast.NewID()
	lock, err := holdConsumer(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	lock.file.Close() // as the kernel does when the process is killed
	if alive, err := testConsumer(dir, id); err != nil || alive {
		t.Fatalf("alive: %v, %v; want dead", alive, err)
	}
	if err := removeConsumer(dir, id); err != nil {
		t.Fatal(err)
	}
	if err := removeConsumer(dir, id); err != nil {
		t.Fatalf("remove again: %v", err)
	}
	if ids, err := listConsumers(dir); err != nil || len(ids) != 0 {
		t.Fatalf("consumers: %v, %v; want none", ids, err)
	}
}

// Many look at a dead consumer at once: none of them takes another for the consumer.
func TestTestersAreNotTakenForConsumers(t *testing.T) {
	dir, id := newHouse(t), holdfast.NewID()
	lock, err := holdConsumer(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	lock.file.Close()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				if alive, err := testConsumer(dir, id); err != nil || alive {
					t.Errorf("alive: %v, %v; want dead", alive, err)
					return
				}
			}
		})
	}
	group.Wait()
}

// A file is tidied up between its making and its lock, again and again: whoever holds has a file that others find.
func TestHoldOutlivesTidyingUp(t *testing.T) {
	dir := newHouse(t)
	for range 50 {
		id := holdfast.NewID()
		stop := make(chan struct{})
		var group sync.WaitGroup
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := removeConsumer(dir, id); err != nil {
					t.Error(err)
				}
			}
		})
		lock, err := holdConsumer(dir, id)
		if err != nil {
			t.Fatal(err)
		}
		if alive, err := testConsumer(dir, id); err != nil || !alive {
			t.Fatalf("alive: %v, %v; want true", alive, err)
		}
		close(stop)
		group.Wait()
		if _, err := os.Stat(consumerPath(dir, id)); err != nil {
			t.Fatal(err)
		}
		if err := lock.release(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestForeignFilesAreNoConsumers(t *testing.T) {
	dir := newHouse(t)
	for _, name := range []string{"readme", holdfast.NewID().String() + ".tmp", "0"} {
		if err := os.WriteFile(filepath.Join(dir, consumersName, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := listConsumers(dir); err != nil || len(ids) != 0 {
		t.Fatalf("consumers: %v, %v; want none", ids, err)
	}
}

// A consumer that was tested while it was about to lock its file, and has its lock by now, is not buried.
func TestLivingConsumerIsNotBuried(t *testing.T) {
	s := openTest(t)
	if _, err := s.Insert(t.Context(), holdfast.Insert{Jobs: newJobs(1)}); err != nil {
		t.Fatal(err)
	}
	own := holdfast.Consumer{ID: holdfast.NewID(), PID: os.Getpid()}
	if err := s.Record(t.Context(), holdfast.Records{Consumers: []holdfast.Consumer{own}}); err != nil {
		t.Fatal(err)
	}
	claimed, err := s.Claim(t.Context(), holdfast.Claim{Consumer: own.ID, Queues: []string{"bench"}, N: 1, Lease: time.Minute})
	if err != nil || len(claimed.Jobs) != 1 {
		t.Fatalf("got %d jobs %v, want one", len(claimed.Jobs), err)
	}
	if err := s.bury(t.Context(), []holdfast.ID{own.ID}); err != nil {
		t.Fatal(err)
	}
	beaten, err := s.Extend(t.Context(), []holdfast.Beat{{Lease: claimed.Jobs[0].Lease, For: time.Minute}})
	if err != nil || beaten[0].Err != nil {
		t.Errorf("its heartbeat: got %+v %v", beaten, err)
	}
	records, err := s.Records(t.Context(), holdfast.RecordsQuery{Consumer: own.ID})
	if err != nil || len(records.Consumers) != 1 || records.Consumers[0].Ended {
		t.Errorf("its record: got %+v %v, want that it lives", records.Consumers, err)
	}
}

// A consumer that has been silent for long keeps the record of its lock as long as it may live.
func TestSilentConsumerKeepsItsLock(t *testing.T) {
	s := openTest(t)
	own := holdfast.Consumer{ID: holdfast.NewID(), PID: os.Getpid()}
	if err := s.Record(t.Context(), holdfast.Records{Consumers: []holdfast.Consumer{own}}); err != nil {
		t.Fatal(err)
	}
	if err := s.shift(2 * keepConsumer); err != nil {
		t.Fatal(err)
	}
	if err := s.writer.do(t.Context(), turnPurge, 1, 0, (*tx).forgetOld); err != nil {
		t.Fatal(err)
	}
	records, err := s.Records(t.Context(), holdfast.RecordsQuery{Consumer: own.ID})
	if err != nil || len(records.Consumers) != 1 || records.Consumers[0].PID != own.PID {
		t.Errorf("got %+v %v, want its record", records.Consumers, err)
	}
}
