package torture

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// journal is what one process writes down, outside the store: one line each, appended by one call of the kernel, so that
// a line is there or not there whenever the process is killed.
type journal struct {
	file *os.File

	mu      sync.Mutex
	turn    *sync.Cond
	written int // lines
	synced  int // of them
	syncing bool
}

// openJournal makes the journal of a process. Lives are numbered, since the kernel gives the numbers of processes again.
func openJournal(dir, role string, life int) (*journal, error) {
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("%s-%d", role, life)), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{file: f}
	j.turn = sync.NewCond(&j.mu)
	return j, nil
}

// note writes a line. A journal that cannot be written proves nothing: the process ends.
func (j *journal) note(word string, args ...string) {
	line := strconv.FormatInt(time.Now().UnixNano(), 10) + " " + word
	if len(args) > 0 {
		line += " " + strings.Join(args, " ")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.WriteString(line + "\n"); err != nil {
		panic("torture: journal: " + err.Error())
	}
	j.written++
}

// keep writes a line and waits until it is synced, together with those of others who wait.
func (j *journal) keep(word string, args ...string) {
	j.note(word, args...)
	j.mu.Lock()
	defer j.mu.Unlock()
	for mine := j.written; j.synced < mine; {
		if j.syncing {
			j.turn.Wait()
			continue
		}
		j.syncing = true
		upTo := j.written
		j.mu.Unlock()
		err := j.file.Sync()
		j.mu.Lock()
		if err != nil {
			panic("torture: journal: " + err.Error())
		}
		j.syncing, j.synced = false, upTo
		j.turn.Broadcast()
	}
}

// entry is a line of a journal.
type entry struct {
	at   time.Time
	word string
	args []string
}

// readJournals gives the entries of every life.
func readJournals(dir string) (map[int][]entry, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*-*"))
	if err != nil {
		return nil, err
	}
	all := map[int][]entry{}
	for _, name := range names {
		_, number, _ := strings.Cut(filepath.Base(name), "-")
		life, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("journal %s: %w", name, err)
		}
		if all[life], err = readJournal(name, nil); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func readJournal(name string, entries []entry) ([]entry, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			return nil, fmt.Errorf("journal %s: line %q", name, lines.Text())
		}
		at, err := strconv.ParseInt(words[0], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("journal %s: line %q: %w", name, lines.Text(), err)
		}
		entries = append(entries, entry{time.Unix(0, at), words[1], words[2:]})
	}
	return entries, lines.Err()
}
