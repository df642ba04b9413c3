// Package sqlite keeps jobs in one SQLite file that any number of processes of one machine may use at once.
//
// Beside the database FILE lies the folder FILE-holdfast, where the processes meet: the turn at which writers queue, the
// bell that wakes those who wait, and a locked file for each living consumer. Calls that come together share one
// transaction and one sync to disk.
//
// Nobody but SQLite may open, copy or remove the file, its -wal and its -shm while it is in use.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	driver "modernc.org/sqlite"

	"github.com/holdfastq/holdfast"
)

// Store is a holdfast.Store in a SQLite file.
type Store struct {
	path  string // of the database, absolute, without symbolic links
	house string // the folder beside it
	boot  string
	id    []byte // store_id

	turn    *turn
	bell    *bell
	writer  *writer
	readers *readers
	watcher *watcher
	vigil   *vigil
	known   *known
	lately  lately
	hands   hands
	offset  atomic.Int64 // of the wall clock from the monotonic one, in milliseconds

	closing sync.Once
	pool    struct {
		sync.Mutex
		db     *sql.DB
		closed bool
	}
}

var _ holdfast.Store = (*Store)(nil)

// Open opens the store in a file, makes the file where it is missing, and brings its schema up to date. ErrUnusable says
// what is in the way: a file that is no database, or of another program, or of a newer schema; a folder that cannot be
// written; a network file system.
//
// The database may be the caller's own: our tables have names that begin with holdfast_.
func Open(ctx context.Context, path string) (*Store, error) { return open(ctx, path) }

// OpenExisting is Open for a file that must be there: without it the error wraps fs.ErrNotExist.
func OpenExisting(ctx context.Context, path string) (*Store, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() == 0 {
		err = &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist} // made, but never written: there is no store in it
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no store at %s: %w", path, err)
	}
	return open(ctx, path)
}

// smallestDatabase is the size of the smallest page.
const smallestDatabase = 512

func open(ctx context.Context, path string) (_ *Store, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if path == ":memory:" || strings.HasPrefix(path, "file:") {
		return nil, fmt.Errorf("%w: %s is not the path of a file; for a store in memory use package memory", holdfast.ErrUnusable, path)
	}
	real, err := realPath(path)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(real); err == nil {
		switch {
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("%w: %s is not a file; name a file", holdfast.ErrUnusable, path)
		case info.Size() > 0 && info.Size() < smallestDatabase: // SQLite would overwrite a single byte
			return nil, notADatabase(path)
		}
	}
	if err := checkFileSystem(real); err != nil {
		return nil, err
	}
	_, missing := os.Stat(real + "-holdfast")
	house, err := openHouse(real)
	if err != nil {
		return nil, err
	}
	s := &Store{path: real, house: house, boot: cmp.Or(bootID(), unknownBoot), known: newKnown(), readers: newReaders(real)}
	defer func() {
		if err != nil {
			s.release()
			if errors.Is(missing, fs.ErrNotExist) && errors.Is(err, holdfast.ErrUnusable) {
				leaveHouse(house) // beside a file that is none of ours nothing is left behind
			}
		}
	}()
	if s.turn, err = openTurn(filepath.Join(house, turnName)); err != nil {
		return nil, fmt.Errorf("%w: %w; the folder %s must be writable", holdfast.ErrUnusable, err, house)
	}
	if s.bell, err = openBell(house); err != nil {
		return nil, fmt.Errorf("%w: %w; the folder %s must be writable", holdfast.ErrUnusable, err, house)
	}
	c, rebooted, err := s.prepare()
	if err != nil {
		return nil, err
	}
	s.writer, s.watcher, s.vigil = newWriter(s, c), newWatcher(s), newVigil(s)
	go s.writer.run()
	if rebooted {
		if err := s.afterBoot(ctx); err != nil {
			s.writer.close()
			return nil, fmt.Errorf("give back the jobs of before the machine's start: %w", err)
		}
	}
	return s, nil
}

// leaveHouse removes a house that we have made and that nobody else lives in.
func leaveHouse(dir string) {
	for _, name := range []string{turnName, bellName, consumersName, ""} {
		os.Remove(filepath.Join(dir, name))
	}
}

// afterBoot gives back the jobs of those who ended with the machine.
func (s *Store) afterBoot(ctx context.Context) error {
	for more := true; more; {
		swept, err := s.Sweep(ctx, holdfast.Sweep{Limit: sweepStep})
		if err != nil {
			return err
		}
		more = swept.More
	}
	return nil
}

// release closes what open has opened besides the writer.
func (s *Store) release() {
	s.readers.close()
	if s.bell != nil {
		s.bell.close()
	}
	if s.turn != nil && s.writer == nil {
		s.turn.close()
	}
}

// Close implements holdfast.Store. Consumers of this process that were not recorded as ended count as dead from now on.
// A pool that DB gave is closed too.
func (s *Store) Close() (err error) {
	s.closing.Do(func() {
		s.watcher.close()
		s.vigil.end()
		err = s.writer.close()
		s.pool.Lock()
		s.pool.closed = true
		if s.pool.db != nil {
			err = errors.Join(err, s.pool.db.Close())
		}
		s.pool.Unlock()
		s.release()
		s.vigil.drop()
	})
	return err
}

// tick reads the bell.
func (s *Store) tick() (holdfast.Tick, error) {
	tick, err := s.bell.read()
	if errors.Is(err, os.ErrClosed) {
		err = holdfast.ErrClosed
	}
	return tick, err
}

// DB gives a pool of connections to the database with the settings that Join asks for, for the caller's own tables and
// transactions. Every transaction begins as a writer (BEGIN IMMEDIATE): while one is open, every other writer of the
// file waits. It is closed with the store.
func (s *Store) DB() *sql.DB {
	s.pool.Lock()
	defer s.pool.Unlock()
	if s.pool.db == nil {
		connector, err := driver.NewConnector(s.dsn())
		if err != nil {
			panic("sqlite: " + err.Error()) // the text is ours
		}
		s.pool.db = sql.OpenDB(connector)
		s.pool.db.SetMaxOpenConns(maxReaders)
		if s.pool.closed {
			s.pool.db.Close()
		}
	}
	return s.pool.db
}

func (s *Store) dsn() string {
	settings := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(10000)", "synchronous(full)", "foreign_keys(on)"},
	}
	file := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(s.path)}).EscapedPath()}
	return file.String() + "?" + settings.Encode()
}
