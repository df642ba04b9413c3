package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/holdfastq/holdfast"
)

// gather has calls wait until all are queued, so that they share a transaction.
func gather(t *testing.T, s *Store, calls ...func(*tx) error) []error {
	t.Helper()
	block, blocked := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		s.writer.do(context.Background(), turnExtend, maxSteps, 0, func(*tx) error { close(blocked); <-block; return nil })
	})
	<-blocked
	errs := make([]error, len(calls))
	for i, do := range calls {
		wg.Go(func() { errs[i] = s.writer.do(context.Background(), turnInsert, 1, 0, do) })
		for queued := 0; queued <= i; {
			s.writer.mu.Lock()
			queued = len(s.writer.queue)
			s.writer.mu.Unlock()
		}
	}
	close(block)
	wg.Wait()
	return errs
}

func (s *Store) commits() (n int64) {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	return s.writer.commits
}

func TestCallsThatWaitShareATransaction(t *testing.T) {
	s := openTest(t)
	before := s.commits()
	calls := make([]func(*tx) error, 100)
	for i := range calls {
		calls[i] = func(t *tx) error {
			_, err := t.insert(holdfast.Insert{Jobs: newJobs(1)})
			return err
		}
	}
	for i, err := range gather(t, s, calls...) {
		if err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	// One for the call that the others waited for, one for these, and more only if they took longer than maxTime.
	if got := s.commits() - before; got < 2 || got > 10 {
		t.Errorf("got %d commits for 100 calls that waited for one, want 2, on a slow machine a few more", got)
	}
}

func TestFailedStatementHitsOnlyTheGuilty(t *testing.T) {
	s := openTest(t)
	put := func(t *tx) error {
		_, err := t.insert(holdfast.Insert{Jobs: newJobs(2)})
		return err
	}
	guilty := func(t *tx) error {
		if _, err := t.insert(holdfast.Insert{Jobs: newJobs(5)}); err != nil {
			return err
		}
		_, err := t.exec("insert into holdfast_queues (name) values (?)", null)
		return err
	}
	errs := gather(t, s, put, guilty, put, guilty, put)
	for i, err := range errs {
		if failed := err != nil; failed != (i%2 == 1) {
			t.Errorf("call %d: got %v", i, err)
		}
	}
	if code := codeOf(errs[1]); code&0xff != sqlite3.SQLITE_CONSTRAINT {
		t.Errorf("the guilty got code %d, want a constraint's", code)
	}
	counts, err := s.Counts(t.Context())
	if err != nil || len(counts) != 1 || counts[0].Of(holdfast.Waiting) != 6 {
		t.Errorf("got counts %+v %v, want 6 waiting", counts, err)
	}
	page, err := s.List(t.Context(), holdfast.List{})
	if err != nil || len(page.Jobs) != 6 {
		t.Errorf("got %d jobs %v, want 6", len(page.Jobs), err)
	}
}

// A repeat of an insert in the middle of a batch makes the batch be done again with care, once.
func TestRepeatInABatchIsAnswered(t *testing.T) {
	s := openTest(t)
	jobs := newJobs(3)
	var answers [3][]holdfast.Inserted
	calls := make([]func(*tx) error, 3)
	for i := range calls {
		calls[i] = func(t *tx) (err error) {
			answers[i], err = t.insert(holdfast.Insert{Jobs: jobs})
			return err
		}
	}
	for i, err := range gather(t, s, calls...) {
		if err != nil || len(answers[i]) != 3 || !answers[i][2].Made || answers[i][2].ID != jobs[2].ID {
			t.Errorf("call %d: got %+v %v, want made", i, answers[i], err)
		}
	}
	counts, err := s.Counts(t.Context())
	if err != nil || counts[0].Of(holdfast.Waiting) != 3 {
		t.Errorf("got counts %+v %v, want 3 waiting", counts, err)
	}
}

func TestContextThatEndsInATransactionNeverInterruptsIt(t *testing.T) {
	s := openTest(t)
	ctx, cancel := context.WithCancel(t.Context())
	jobs := newJobs(1)
	began, end := make(chan struct{}), make(chan struct{})
	gone := make(chan error, 1)
	go func() {
		gone <- s.writer.do(ctx, turnInsert, 1, 0, func(t *tx) error {
			close(began)
			<-end
			_, err := t.insert(holdfast.Insert{Jobs: jobs})
			return err
		})
	}()
	<-began
	cancel()
	if err := <-gone; !errors.Is(err, holdfast.ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want ErrUnknown and the context's error", err)
	}
	close(end)
	answers, err := s.Insert(t.Context(), holdfast.Insert{Jobs: jobs}) // asking again gives the first answer
	if err != nil || !answers[0].Made {
		t.Errorf("asking again: got %+v %v", answers, err)
	}
	counts, err := s.Counts(t.Context())
	if err != nil || counts[0].Of(holdfast.Waiting) != 1 {
		t.Errorf("got counts %+v %v, want one waiting", counts, err)
	}
}

// A failed commit may be on disk or not: its callers are told so, and nothing is acknowledged before all connections
// are new and the WAL is in the database.
func TestFailedCommitIsUnknown(t *testing.T) {
	s := openTest(t)
	before := s.writer.c
	jobs := newJobs(1)
	err := s.writer.do(t.Context(), turnInsert, 1, 0, func(t *tx) error {
		if _, err := t.insert(holdfast.Insert{Jobs: jobs}); err != nil {
			return err
		}
		_, err := t.exec("commit") // so that the writer's own fails, while all is on disk
		return err
	})
	if !errors.Is(err, holdfast.ErrUnknown) {
		t.Fatalf("got %v, want ErrUnknown", err)
	}
	answers, err := s.Insert(t.Context(), holdfast.Insert{Jobs: jobs})
	if err != nil || !answers[0].Made {
		t.Fatalf("asking again: got %+v %v, want made", answers, err)
	}
	if s.writer.c == before {
		t.Error("the connection of the failed commit is still in use")
	}
	counts, err := s.Counts(t.Context())
	if err != nil || counts[0].Of(holdfast.Waiting) != 1 {
		t.Errorf("got counts %+v %v, want one waiting", counts, err)
	}
}

// A full disk is an error for those who wrote, and nothing else: the store goes on when there is room again.
func TestFullDiskIsRefusedAndForgotten(t *testing.T) {
	s := openTest(t)
	limit := func(pages string) {
		t.Helper()
		err := s.writer.do(t.Context(), turnSweep, 1, 0, func(t *tx) error {
			return t.query("pragma max_page_count = "+pages, func(row) error { return nil })
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit("1")
	big := newJobs(100)
	for i := range big {
		big[i].Data = make([]byte, 10_000)
	}
	_, err := s.Insert(t.Context(), holdfast.Insert{Jobs: big})
	if primary(err) != sqlite3.SQLITE_FULL || errors.Is(err, holdfast.ErrUnknown) {
		t.Fatalf("got %v, want that the disk is full, and no doubt", err)
	}
	limit("1073741823")
	if _, err := s.Insert(t.Context(), holdfast.Insert{Jobs: big}); err != nil {
		t.Fatal(err)
	}
	counts, err := s.Counts(t.Context())
	if err != nil || counts[0].Of(holdfast.Waiting) != 100 {
		t.Errorf("got counts %+v %v, want 100 waiting", counts, err)
	}
}

func TestLargeWALIsEmptied(t *testing.T) {
	s := openTest(t)
	jobs := newJobs(8)
	for i := range jobs {
		jobs[i].Data = make([]byte, holdfast.MaxDataBytes-1)
	}
	largest := int64(0)
	for range 20 {
		for i := range jobs {
			jobs[i].ID = holdfast.NewID()
		}
		if _, err := s.Insert(t.Context(), holdfast.Insert{Jobs: jobs}); err != nil {
			t.Fatal(err)
		}
		s.writer.do(t.Context(), turnSweep, 1, 0, func(*tx) error { return nil }) // after it the tidying before is over
		size, _ := stamp(s.path + "-wal")
		largest = max(largest, size)
	}
	if most := int64(maxWAL + 2*maxBytes); largest > most {
		t.Errorf("the WAL grew to %d bytes, want at most %d", largest, most)
	}
}

// Who gives up while another process holds the turn, for example because it is frozen, can also close the store.
func TestCloseDoesNotWaitForAnothersTurn(t *testing.T) {
	s := openTest(t)
	other, err := openTurn(filepath.Join(s.house, turnName))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.take(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := s.Insert(ctx, holdfast.Insert{Jobs: newJobs(1)})
		gone <- err
	}()
	for inLine := false; !inLine; {
		s.writer.mu.Lock()
		inLine = s.writer.inLine
		s.writer.mu.Unlock()
	}
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) || errors.Is(err, holdfast.ErrUnknown) {
		t.Errorf("insert: got %v, want the context's error alone", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := other.close(); err != nil {
		t.Error(err)
	}
	<-s.writer.ended
}

// queueUp has calls wait, together and in this order.
func (w *writer) queueUp(calls ...*call) {
	for _, c := range calls {
		c.done = make(chan error, 1)
	}
	w.mu.Lock()
	w.queue = append(w.queue, calls...)
	w.mu.Unlock()
	w.wake()
}

// slow is a step that takes as much time as a transaction may have.
func slow(*tx) error {
	<-time.After(maxTime + time.Millisecond)
	return nil
}

// Whatever producers put meanwhile, what had no time left in one transaction is done in the next.
func TestProducersHoldUpNobody(t *testing.T) {
	s := openTest(t)
	stop, puts := make(chan struct{}), 0
	var produce func(*tx) error
	produce = func(x *tx) error { // each has two more follow, so that there are always some in front of what is done last
		select {
		case <-stop:
			return nil
		default:
		}
		puts++
		s.writer.queueUp(&call{order: turnInsert, steps: 1, do: produce}, &call{order: turnInsert, steps: 1, do: produce})
		return slow(x)
	}
	claim := &call{order: turnClaim, steps: 1, do: slow}
	sweep := &call{order: turnSweep, steps: 1, do: slow}
	purge := &call{order: turnPurge, steps: 1, do: slow}
	s.writer.queueUp(&call{order: turnInsert, steps: 1, do: produce}, &call{order: turnInsert, steps: 1, do: produce}, claim, sweep, purge)
	timeout := time.After(patience)
	for _, c := range []*call{claim, sweep, purge} {
		select {
		case <-c.done:
		case <-timeout:
			t.Fatalf("a call of order %d waits still", c.order)
		}
	}
	close(stop)
	if err := s.writer.do(t.Context(), turnPurge, 1, 0, func(*tx) error { return nil }); err != nil {
		t.Error(err)
	}
	if puts > 20 {
		t.Errorf("%d puts were done before the others, want a few", puts)
	}
}

// A heartbeat waits for the import that is being done, and not for those that wait.
func TestHeartbeatPassesImports(t *testing.T) {
	s := openTest(t)
	var order []string
	note := func(what string) func(*tx) error {
		return func(*tx) error { order = append(order, what); return nil }
	}
	began, end := make(chan struct{}), make(chan struct{})
	first := &call{order: turnInsert, steps: 2 * maxSteps, do: func(*tx) error { close(began); <-end; return nil }}
	s.writer.queueUp(first)
	<-began
	last := &call{order: turnInsert, steps: 2 * maxSteps, do: note("import")}
	s.writer.queueUp(
		&call{order: turnInsert, steps: 2 * maxSteps, do: note("import")},
		last,
		&call{order: turnFinish, steps: 1, do: note("outcome")},
		&call{order: turnExtend, steps: 1, do: note("heartbeat")})
	close(end)
	if err := <-last.done; err != nil {
		t.Fatal(err)
	}
	if want := []string{"heartbeat", "outcome", "import", "import"}; !slices.Equal(order, want) {
		t.Errorf("got %v, want %v", order, want)
	}
}

// However many outcomes there are, the others have their part of each transaction.
func TestOutcomesHoldUpNobody(t *testing.T) {
	s := openTest(t)
	done := 0
	outcome := func(x *tx) error { done++; return slow(x) }
	var calls []*call
	for range 10 {
		calls = append(calls, &call{order: turnFinish, steps: maxSteps / 4, do: outcome})
	}
	before := -1
	put := &call{order: turnInsert, steps: 2 * maxSteps, do: func(*tx) error { before = done; return nil }}
	s.writer.queueUp(append(calls, put)...)
	for _, c := range append(calls, put) {
		if err := <-c.done; err != nil {
			t.Fatal(err)
		}
	}
	if before > 2 {
		t.Errorf("the put came after %d outcomes, want one transaction's", before)
	}
}

// Who reads for long keeps the WAL from being emptied, and holds up no writer.
func TestLongReaderHoldsUpNobody(t *testing.T) {
	s := openTest(t)
	put := func(data int) {
		t.Helper()
		jobs := newJobs(8)
		for i := range jobs {
			jobs[i].Data = make([]byte, data)
		}
		if _, err := s.Insert(t.Context(), holdfast.Insert{Jobs: jobs}); err != nil {
			t.Fatal(err)
		}
	}
	put(1)
	c, err := openReader(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if _, err := c.exec("begin"); err != nil {
		t.Fatal(err)
	}
	if err := one(c, "select count(*) from holdfast_jobs", func(row) {}); err != nil {
		t.Fatal(err)
	}
	for size := int64(0); size < maxWAL+maxBytes; size, _ = stamp(s.path + "-wal") {
		put(holdfast.MaxDataBytes - 1)
	}
	began := time.Now()
	for time.Since(began) < 1200*time.Millisecond { // over one try at least
		before := time.Now()
		put(1)
		if took := time.Since(before); took > writerPatience/2 {
			t.Fatalf("a put took %v", took)
		}
	}
}

// What a transaction met that was rolled back is not known afterwards.
func TestRolledBackNumbersAreForgotten(t *testing.T) {
	s := openTest(t)
	jobs := newJobs(1)
	errFull := &codeError{sqlite3.SQLITE_FULL, "the disk is full"}
	err := s.writer.do(t.Context(), turnInsert, 1, 0, func(t *tx) error {
		if _, err := t.insert(holdfast.Insert{Jobs: jobs}); err != nil {
			return err
		}
		t.forget() // so that the name is read from the table
		if _, err := t.find(jobs[0].ID); err != nil {
			return err
		}
		return errFull
	})
	if !errors.Is(err, errFull) {
		t.Fatalf("got %v, want %v", err, errFull)
	}
	if no := s.known.queue("bench"); no != 0 {
		t.Errorf("the queue that was rolled back is known as %d", no)
	}
}

func TestOnlyOpenCallsAStoreUnusable(t *testing.T) {
	err := error(&codeError{sqlite3.SQLITE_CANTOPEN, "unable to open database file"})
	if later := translate("jobs.db", err); errors.Is(later, holdfast.ErrUnusable) {
		t.Errorf("later: got %v, want an ordinary error", later)
	}
	if first := unusable("jobs.db", err); !errors.Is(first, holdfast.ErrUnusable) {
		t.Errorf("at Open: got %v, want ErrUnusable", first)
	}
}
