package sqlite

import (
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/holdfastq/holdfast"
)

// codeError is a result code of SQLite with its words.
type codeError struct {
	code int
	text string
}

func (e *codeError) Error() string { return fmt.Sprintf("sqlite: %s (%d)", e.text, e.code) }

// codeOf gives the extended result code of an error of SQLite's, by whichever way it came; 0 for other errors.
func codeOf(err error) int {
	if e, ok := errors.AsType[*codeError](err); ok {
		return e.code
	}
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code()
	}
	return 0
}

// primary is a result code without what extends it.
func primary(err error) int { return codeOf(err) & 0xff }

// busy says that another connection held the file: nothing happened, and the step can be repeated.
func busy(err error) bool {
	c := primary(err)
	return c == sqlite3.SQLITE_BUSY || c == sqlite3.SQLITE_LOCKED
}

// exhausted says that it was not the statement's fault, so that splitting the batch does not help.
func exhausted(err error) bool {
	switch primary(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN:
		return true
	}
	return false
}

// translate gives an error of SQLite's in the words of package holdfast.
func translate(path string, err error) error {
	switch primary(err) {
	case sqlite3.SQLITE_NOTADB:
		return notADatabase(path)
	case sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%w: %s: %w; keep a copy of it with its -wal and restore a backup", holdfast.ErrCorrupt, path, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%w: %s cannot be written: %w; make the file and its folder writable", holdfast.ErrUnusable, path, err)
	case sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("%s cannot be opened: %w", path, err) // no descriptor is left, perhaps: it may go well again
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%s: the disk is full: %w", path, err)
	}
	return err
}

// unusable is translate while the store is being opened: then a file that cannot be opened is one that never can.
func unusable(path string, err error) error {
	if primary(err) == sqlite3.SQLITE_CANTOPEN {
		return fmt.Errorf("%w: %s cannot be opened: %w; its folder must be there and writable", holdfast.ErrUnusable, path, err)
	}
	return translate(path, err)
}

func notADatabase(path string) error {
	return fmt.Errorf("%w: %s is not a database; name another file, or move this one away", holdfast.ErrUnusable, path)
}
