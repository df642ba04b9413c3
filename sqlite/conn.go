package sqlite

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// conn is one connection to the database, below database/sql and its driver: both cost more for each statement than
// most of ours take (docs/design/0001-sqlite-group-commit.md has the figures). Statements are prepared once. One
// goroutine at a time uses a conn.
type conn struct {
	tls   *libc.TLS
	db    uintptr
	stmts map[string]*stmt

	readOnly bool
}

// openFlags are those of every connection: one goroutine at a time needs no mutex.
const openFlags = sqlite3.SQLITE_OPEN_NOMUTEX

// openConn opens a connection; one that reads only makes no file.
func openConn(path string, readOnly bool) (*conn, error) {
	c := &conn{tls: libc.NewTLS(), stmts: map[string]*stmt{}, readOnly: readOnly}
	name, err := libc.CString(path)
	if err != nil {
		c.tls.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	defer libc.Xfree(c.tls, name)
	out := c.tls.Alloc(int(unsafe.Sizeof(uintptr(0))))
	defer c.tls.Free(int(unsafe.Sizeof(uintptr(0))))
	flags := int32(openFlags | sqlite3.SQLITE_OPEN_READWRITE | sqlite3.SQLITE_OPEN_CREATE)
	if readOnly {
		flags = openFlags | sqlite3.SQLITE_OPEN_READONLY
	}
	rc := sqlite3.Xsqlite3_open_v2(c.tls, name, out, flags, 0)
	c.db = *(*uintptr)(pointer(out))
	if rc != sqlite3.SQLITE_OK {
		err := c.fault(rc)
		c.close()
		return nil, err
	}
	sqlite3.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	return c, nil
}

// close finalizes every statement and closes the connection.
func (c *conn) close() error {
	for _, s := range c.stmts {
		s.finalize()
	}
	c.stmts = nil
	if c.db == 0 {
		return nil
	}
	rc := sqlite3.Xsqlite3_close_v2(c.tls, c.db)
	c.db = 0
	c.tls.Close()
	if rc != sqlite3.SQLITE_OK {
		return &codeError{int(rc), "close database"}
	}
	return nil
}

// patience sets how long a statement waits for the lock of another connection.
func (c *conn) patience(d time.Duration) {
	sqlite3.Xsqlite3_busy_timeout(c.tls, c.db, int32(d/time.Millisecond))
}

// autocommit says that no transaction is open: some failures roll back by themselves.
func (c *conn) autocommit() bool { return sqlite3.Xsqlite3_get_autocommit(c.tls, c.db) != 0 }

// exec runs a statement to its end and says how many rows it changed.
func (c *conn) exec(sql string, args ...value) (int64, error) {
	s, err := c.prepare(sql)
	if err != nil {
		return 0, err
	}
	err = s.run(args, nil)
	if err != nil {
		return 0, err
	}
	return int64(sqlite3.Xsqlite3_changes64(c.tls, c.db)), nil
}

// query gives each row to a function; what the row gives is valid after the call.
func (c *conn) query(sql string, each func(row) error, args ...value) error {
	s, err := c.prepare(sql)
	if err != nil {
		return err
	}
	return s.run(args, each)
}

// script runs statements without arguments, one after another, none of them kept.
func (c *conn) script(sql string) error {
	text, err := libc.CString(sql)
	if err != nil {
		return err
	}
	defer libc.Xfree(c.tls, text)
	if rc := sqlite3.Xsqlite3_exec(c.tls, c.db, text, 0, 0, 0); rc != sqlite3.SQLITE_OK {
		return c.fault(rc)
	}
	return nil
}

// prepare gives the statement for a text, from the second time on the one of the first.
func (c *conn) prepare(sql string) (*stmt, error) {
	if s := c.stmts[sql]; s != nil && !s.busy {
		return s, nil
	}
	text, err := libc.CString(sql)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, text)
	out := c.tls.Alloc(int(unsafe.Sizeof(uintptr(0))))
	defer c.tls.Free(int(unsafe.Sizeof(uintptr(0))))
	rc := sqlite3.Xsqlite3_prepare_v3(c.tls, c.db, text, -1, sqlite3.SQLITE_PREPARE_PERSISTENT, out, 0)
	if rc != sqlite3.SQLITE_OK {
		return nil, fmt.Errorf("prepare: %w", c.fault(rc))
	}
	s := &stmt{c: c, handle: *(*uintptr)(pointer(out))}
	s.params = int(sqlite3.Xsqlite3_bind_parameter_count(c.tls, s.handle))
	if c.stmts[sql] == nil {
		c.stmts[sql] = s
	} else {
		s.once = true // the same statement runs further out: a second one for now
	}
	return s, nil
}

// fault is the error of a result code, with what SQLite says about it.
func (c *conn) fault(rc int32) error {
	text := "out of memory"
	if c.db != 0 {
		text = libc.GoString(sqlite3.Xsqlite3_errmsg(c.tls, c.db))
	}
	return &codeError{int(rc), text}
}

// stmt is a prepared statement, and while it runs the row that it is at.
type stmt struct {
	c      *conn
	handle uintptr
	params int
	arena  uintptr // SQLite's memory with the texts and blobs that are bound
	room   int
	busy   bool
	once   bool
}

func (s *stmt) finalize() {
	sqlite3.Xsqlite3_finalize(s.c.tls, s.handle)
	sqlite3.Xsqlite3_free(s.c.tls, s.arena)
	s.handle, s.arena = 0, 0
}

// run binds, steps to the end and resets.
func (s *stmt) run(args []value, each func(row) error) error {
	s.busy = true
	err := s.bind(args)
	if err == nil {
		err = s.steps(each)
		sqlite3.Xsqlite3_reset(s.c.tls, s.handle)
	}
	s.busy = false
	if s.once {
		s.finalize()
	}
	return err
}

func (s *stmt) steps(each func(row) error) error {
	for {
		switch rc := sqlite3.Xsqlite3_step(s.c.tls, s.handle); rc {
		case sqlite3.SQLITE_DONE:
			return nil
		case sqlite3.SQLITE_ROW:
			if each == nil {
				continue
			}
			if err := each(s); err != nil {
				return err
			}
		default:
			return s.c.fault(rc)
		}
	}
}

// bind copies texts and blobs into the statement's arena, where they stay until the next bind.
func (s *stmt) bind(args []value) error {
	if len(args) != s.params {
		return fmt.Errorf("%d arguments for %d parameters", len(args), s.params)
	}
	size := 0
	for i := range args {
		size += args[i].size()
	}
	if err := s.reserve(size); err != nil {
		return err
	}
	at := s.arena
	for i := range args {
		a, n := &args[i], int32(i+1)
		rc := int32(sqlite3.SQLITE_OK)
		switch a.kind {
		case kindNull:
			rc = sqlite3.Xsqlite3_bind_null(s.c.tls, s.handle, n)
		case kindInt:
			rc = sqlite3.Xsqlite3_bind_int64(s.c.tls, s.handle, n, a.n)
		case kindReal:
			rc = sqlite3.Xsqlite3_bind_double(s.c.tls, s.handle, n, a.real())
		case kindText:
			copy(unsafe.Slice((*byte)(pointer(at)), a.size()), a.bytes())
			rc = sqlite3.Xsqlite3_bind_text(s.c.tls, s.handle, n, at, int32(a.n), sqlite3.SQLITE_STATIC)
		case kindBlob:
			copy(unsafe.Slice((*byte)(pointer(at)), a.size()), a.bytes())
			rc = sqlite3.Xsqlite3_bind_blob(s.c.tls, s.handle, n, at, int32(a.n), sqlite3.SQLITE_STATIC)
		}
		if rc != sqlite3.SQLITE_OK {
			return s.c.fault(rc)
		}
		at += uintptr(a.size())
	}
	runtime.KeepAlive(args)
	return nil
}

// reserve makes room in the arena; it is never empty, since a blob at address zero would be null.
func (s *stmt) reserve(size int) error {
	if size < s.room {
		return nil
	}
	room := max(2*s.room, size+64)
	sqlite3.Xsqlite3_free(s.c.tls, s.arena)
	s.room = 0
	s.arena = sqlite3.Xsqlite3_malloc64(s.c.tls, sqlite3.Tsqlite3_uint64(room))
	if s.arena == 0 {
		return &codeError{sqlite3.SQLITE_NOMEM, "out of memory"}
	}
	s.room = room
	return nil
}

func (s *stmt) int(i int) int64 { return sqlite3.Xsqlite3_column_int64(s.c.tls, s.handle, int32(i)) }

func (s *stmt) real(i int) float64 {
	return sqlite3.Xsqlite3_column_double(s.c.tls, s.handle, int32(i))
}

func (s *stmt) null(i int) bool {
	return sqlite3.Xsqlite3_column_type(s.c.tls, s.handle, int32(i)) == sqlite3.SQLITE_NULL
}

func (s *stmt) text(i int) string {
	return string(s.view(i))
}

func (s *stmt) blob(i int) []byte {
	if s.null(i) {
		return nil
	}
	return append([]byte{}, s.view(i)...)
}

func (s *stmt) id(i int) (id [16]byte) {
	copy(id[:], s.view(i))
	return id
}

// view is SQLite's own memory, good until the next step.
func (s *stmt) view(i int) []byte {
	p := sqlite3.Xsqlite3_column_blob(s.c.tls, s.handle, int32(i))
	if p == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(pointer(p)), sqlite3.Xsqlite3_column_bytes(s.c.tls, s.handle, int32(i)))
}

// pointer is an address in SQLite's memory, which no garbage collector moves, as a pointer.
func pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }
