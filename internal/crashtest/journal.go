package crashtest

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfastq/holdfast"
)

// Journal is what a process writes down for those who check afterwards: one line each, appended by one call of the
// kernel, so that a line is there or not there whenever the process is killed.
type Journal struct {
	file *os.File
}

// OpenJournal opens a file of its own for a process.
func OpenJournal(dir, kind string) (*Journal, error) {
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("%s-%d-%d", kind, os.Getpid(), time.Now().UnixNano())), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &Journal{f}, nil
}

// Put writes that a Put of the job was answered with success.
func (j *Journal) Put(id holdfast.ID) error { return j.write("put", id, 0) }

// Start writes that a handler starts, End that it is through.
func (j *Journal) Start(l holdfast.Lease) error { return j.write("start", l.Job, l.Fence) }

// End writes that a handler is through with its work, before the outcome is reported.
func (j *Journal) End(l holdfast.Lease) error { return j.write("end", l.Job, l.Fence) }

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

func (j *Journal) write(word string, id holdfast.ID, fence int64) error {
	line := fmt.Appendf(nil, "%s %v %d %d\n", word, id, fence, time.Now().UnixNano())
	_, err := j.file.Write(line)
	return err
}

// Entry is a line of a journal.
type Entry struct {
	PID   int
	Word  string
	Job   holdfast.ID
	Fence int64
	At    time.Time
}

// ReadJournals gives all lines of all journals of a kind.
func ReadJournals(dir, kind string) ([]Entry, error) {
	names, err := filepath.Glob(filepath.Join(dir, kind+"-*"))
	if err != nil {
		return nil, err
	}
	var all []Entry
	for _, name := range names {
		var pid int
		var nonce int64
		if _, err := fmt.Sscanf(filepath.Base(name), kind+"-%d-%d", &pid, &nonce); err != nil {
			return nil, fmt.Errorf("journal %s: %w", name, err)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(bytes.NewReader(text))
		for lines.Scan() {
			var id string
			var at int64
			e := Entry{PID: pid}
			if _, err := fmt.Sscan(lines.Text(), &e.Word, &id, &e.Fence, &at); err != nil {
				return nil, fmt.Errorf("journal %s: line %q: %w", name, lines.Text(), err)
			}
			if e.Job, err = holdfast.ParseID(id); err != nil {
				return nil, fmt.Errorf("journal %s: %w", name, err)
			}
			e.At = time.Unix(0, at)
			all = append(all, e)
		}
	}
	return all, nil
}

// Run is one run of a handler, as its process wrote it down.
type Run struct {
	PID        int
	Fence      int64
	Start, End time.Time // End is zero if the process never came so far
}

// Runs gives the runs of each job's handlers, by fence.
func Runs(entries []Entry) (map[holdfast.ID][]Run, error) {
	runs := map[holdfast.ID][]Run{}
	for _, e := range entries {
		list := runs[e.Job]
		i := slices.IndexFunc(list, func(r Run) bool { return r.PID == e.PID && r.Fence == e.Fence })
		if i < 0 {
			list = append(list, Run{PID: e.PID, Fence: e.Fence})
			i = len(list) - 1
		}
		at := map[string]*time.Time{"start": &list[i].Start, "end": &list[i].End}[e.Word]
		if at == nil || !at.IsZero() {
			return nil, fmt.Errorf("job %v, fence %d: process %d has written a second or unknown %q", e.Job, e.Fence, e.PID, e.Word)
		}
		*at = e.At
		runs[e.Job] = list
	}
	for _, list := range runs {
		slices.SortFunc(list, func(a, b Run) int { return cmp.Or(cmp.Compare(a.Fence, b.Fence), a.Start.Compare(b.Start)) })
	}
	return runs, nil
}

// Overlaps says what is wrong with the runs of one job: each but the last must have ended, at the latest with its
// process (died says when it was killed, zero if it was not), before the next one started, and no fence comes twice.
func Overlaps(runs []Run, died func(pid int) time.Time) []string {
	var wrong []string
	for i, r := range runs {
		if i == 0 {
			continue
		}
		before := runs[i-1]
		ended := before.End
		if death := died(before.PID); ended.IsZero() || !death.IsZero() && death.Before(ended) {
			ended = death
		}
		switch {
		case r.Fence == before.Fence:
			wrong = append(wrong, fmt.Sprintf("fence %d was handed out twice, to processes %d and %d", r.Fence, before.PID, r.PID))
		case ended.IsZero():
			wrong = append(wrong, fmt.Sprintf("fence %d started while process %d, alive, had not ended fence %d", r.Fence, before.PID, before.Fence))
		case r.Start.Before(ended):
			wrong = append(wrong, fmt.Sprintf("fence %d started %v before fence %d had ended", r.Fence, ended.Sub(r.Start), before.Fence))
		}
	}
	return wrong
}
