package power

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"modernc.org/sqlite"

	"github.com/holdfastq/holdfast"
)

// scratch is a folder in memory, if the machine has one, where images are laid out for SQLite to open. It is used over
// and over: opening takes a third of a millisecond, making folders would take longer.
type scratch struct{ dir string }

const dbName = "jobs.db"

func newScratch() (*scratch, error) {
	dir, err := os.MkdirTemp("/dev/shm", "holdfast-power-")
	if err != nil {
		dir, err = os.MkdirTemp("", "holdfast-power-")
	}
	return &scratch{dir}, err
}

func (s *scratch) path() string { return filepath.Join(s.dir, dbName) }

func (s *scratch) remove() { os.RemoveAll(s.dir) }

// lay makes the folder hold an image and nothing else of a database.
func (s *scratch) lay(m image) error {
	for _, suffix := range []string{"", "-wal", "-journal", "-shm"} {
		name := dbName + suffix
		if content, there := m[name]; there {
			if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
				return err
			}
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// look opens the database as SQLite does after a crash: it recovers the log, or rolls the journal back. With an
// exclusive lock the index of the log is in SQLite's own memory and not in a -shm; the code is the same.
func look(path string) (*view, error) {
	c, err := new(sqlite.Driver).Open("file:" + path + "?_pragma=locking_mode(exclusive)")
	if err != nil {
		return nil, err
	}
	return &view{c}, nil
}

// view is a connection to a database that nobody else uses.
type view struct{ c driver.Conn }

func (v *view) close() { v.c.Close() }

// empty says that there is no database in the file yet.
func (v *view) empty() (bool, error) {
	n := int64(0)
	err := v.each("pragma page_count", func(r []driver.Value) { n = r[0].(int64) })
	return n == 0, err
}

var pageSeed = maphash.MakeSeed()

// pages tells the contents of databases apart, page by page as SQLite sees them after its recovery. Equal pages give
// equal answers to everything, also to quick_check.
func (v *view) pages() (uint64, error) {
	if empty, err := v.empty(); err != nil || empty {
		return 0, err
	}
	all, err := v.c.(interface{ Serialize() ([]byte, error) }).Serialize()
	if err != nil {
		return 0, err
	}
	return maphash.Bytes(pageSeed, all), nil
}

// damage is what SQLite finds wrong with a file; "" for nothing.
func (v *view) damage(pragma string) string {
	var lines []string
	if err := v.each("pragma "+pragma, func(r []driver.Value) { lines = append(lines, fmt.Sprint(r[0])) }); err != nil {
		return err.Error()
	}
	if len(lines) == 1 && lines[0] == "ok" {
		return ""
	}
	return strings.Join(lines, "; ")
}

// contents tells the contents of databases apart, row by row.
func (v *view) contents() (uint64, error) {
	var tables []string
	if err := v.each("select name, sql from sqlite_schema where type = 'table' order by name", func(r []driver.Value) {
		tables = append(tables, r[0].(string))
	}); err != nil || len(tables) == 0 {
		return 0, err
	}
	var h maphash.Hash
	h.SetSeed(pageSeed)
	for _, table := range tables {
		h.WriteString(table)
		var lines []string
		if err := v.each("select * from "+table, func(r []driver.Value) { lines = append(lines, fmt.Sprintf("%v", r)) }); err != nil {
			return 0, err
		}
		slices.Sort(lines)
		for _, line := range lines {
			h.WriteString(line)
		}
	}
	return h.Sum64(), nil
}

// each gives the rows of a query, one after another.
func (v *view) each(query string, row func([]driver.Value)) error {
	r, err := v.c.(driver.QueryerContext).QueryContext(context.Background(), query, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer r.Close()
	values := make([]driver.Value, len(r.Columns()))
	for {
		if err := r.Next(values); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		row(values)
	}
}

// has says whether there is a table of that name.
func (v *view) has(table string) (bool, error) {
	found := false
	err := v.each("select 1 from sqlite_schema where name = '"+table+"'", func([]driver.Value) { found = true })
	return found, err
}

const selectJobs = `select j.id, q.name, j.state, j.priority, j.fence, j.attempt, j.outcome, j.parent,
		case when j.form & 1 then b.payload else j.payload end,
		case when j.form & 2 then b.result else j.result end
	from holdfast_jobs j
	left join holdfast_queues q on q.no = j.queue
	left join holdfast_bodies b on b.seq = j.seq`

const selectAttempts = `select j.id, a.n, a.outcome
	from holdfast_attempts a
	join holdfast_jobs j on j.seq = a.seq`

const selectCounts = `select name, paused_at is not null, scheduled, waiting, running, done, failed, cancelled from holdfast_queues`

// readStore reads what a store of package sqlite holds. A file without its tables holds nothing.
func readStore(v *view) (*rows, error) {
	r := newRows()
	if there, err := v.has("holdfast_jobs"); err != nil || !there {
		return r, err
	}
	var odd error
	err := errors.Join(
		v.each(selectJobs, func(c []driver.Value) {
			id := idOf(c[0])
			if r.jobs[id] != nil || c[1] == nil {
				odd = fmt.Errorf("job %s is there twice, or has no queue", id)
				return
			}
			r.jobs[id] = &jobRow{
				queue: c[1].(string), state: holdfast.State(c[2].(int64)), priority: int(c[3].(int64)), fence: c[4].(int64),
				attempt: int(c[5].(int64)), outcome: holdfast.OutcomeKind(c[6].(int64)), parent: idOf(c[7]),
				sum: sumOf(bytesOf(c[8])), result: sumOf(bytesOf(c[9])),
			}
		}),
		v.each(selectAttempts, func(c []driver.Value) {
			id := idOf(c[0])
			if r.attempts[id] == nil {
				r.attempts[id] = map[int]holdfast.OutcomeKind{}
			}
			r.attempts[id][int(c[1].(int64))] = holdfast.OutcomeKind(c[2].(int64))
		}),
		v.each(selectCounts, func(c []driver.Value) {
			q := &queueRow{paused: c[1].(int64) == 1}
			for i := range q.counted {
				q.counted[i] = c[2+i].(int64)
			}
			r.queues[c[0].(string)] = q
		}),
		v.each("select name, value from holdfast_marks", func(c []driver.Value) { r.marks[c[0].(string)] = string(bytesOf(c[1])) }),
	)
	return r, errors.Join(err, odd)
}

func bytesOf(v driver.Value) []byte {
	b, _ := v.([]byte)
	return b
}

func idOf(v driver.Value) string {
	var id holdfast.ID
	copy(id[:], bytesOf(v))
	return id.String()
}
