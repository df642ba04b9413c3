package main

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// counts of what reached the disk since the program began, over every database that SQLite has open in this process.
type counts struct {
	commits int64 // commit frames written to a write-ahead log
	syncs   int64 // fsync or fdatasync, of logs and of databases
}

func (c counts) since(before counts) counts {
	return counts{c.commits - before.commits, c.syncs - before.syncs}
}

var commits, syncs atomic.Int64

func countsNow() counts { return counts{commits.Load(), syncs.Load()} }

// A file of SQLite has a table of methods. Each table of the real file system is copied once, with xSync and (for logs)
// xWrite replaced by ones that count and then do what the original does. So the systems are counted alike, whatever way
// they open their databases, at the price of an atomic addition.
var original struct {
	open  func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32
	sync  func(*libc.TLS, uintptr, int32) int32                 // the same in every table
	write func(*libc.TLS, uintptr, uintptr, int32, int64) int32 // the same in every table

	mu     sync.Mutex
	copies map[methods]uintptr
}

// methods names a copy: of which table, and whether for logs.
type methods struct {
	table uintptr
	log   bool
}

// countSQLite makes SQLite count from now on, and tries it on a database in dir. It must be called before any other is
// opened; calling it again does nothing.
var countSQLite = func() func(dir string) error {
	var once sync.Once
	var err error
	return func(dir string) error {
		once.Do(func() {
			if err = registerCounting(); err == nil {
				err = tryCounting(dir)
			}
		})
		return err
	}
}()

// tryCounting makes three commits and looks whether they were seen.
func tryCounting(dir string) error {
	db, err := openSQLite(filepath.Join(dir, "counting.db"), 1)
	if err != nil {
		return err
	}
	defer db.Close()
	before := countsNow()
	for _, s := range []string{"create table t (n)", "insert into t values (1)", "insert into t values (2)"} {
		if _, err := db.Exec(s); err != nil {
			return err
		}
	}
	if got := countsNow().since(before); got.commits != 3 || got.syncs < 3 {
		return fmt.Errorf("count syncs: three commits were seen as %d commits and %d syncs", got.commits, got.syncs)
	}
	return nil
}

// registerCounting puts a file system that counts before the real one.
func registerCounting() error {
	tls := libc.NewTLS() // lives as long as the program: the copies are never given back
	real := sqlite3.Xsqlite3_vfs_find(tls, 0)
	if real == 0 {
		return fmt.Errorf("count syncs: SQLite has no file system")
	}
	counting := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})))
	if counting == 0 {
		return fmt.Errorf("count syncs: out of memory")
	}
	name, err := libc.CString("counting")
	if err != nil {
		return fmt.Errorf("count syncs: %w", err)
	}
	vfs := (*sqlite3.Tsqlite3_vfs)(at(counting))
	*vfs = *(*sqlite3.Tsqlite3_vfs)(at(real))
	original.open = *(*func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32)(unsafe.Pointer(&vfs.FxOpen))
	vfs.FpNext, vfs.FzName = 0, name
	open := openCounting
	vfs.FxOpen = *(*uintptr)(unsafe.Pointer(&open))
	if rc := sqlite3.Xsqlite3_vfs_register(tls, counting, 1); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("count syncs: SQLite error %d", rc)
	}
	return nil
}

// at makes a pointer of an address outside Go's memory.
func at(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

func openCounting(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	rc := original.open(tls, vfs, name, file, flags, out)
	f := (*sqlite3.Tsqlite3_file)(at(file))
	if rc != sqlite3.SQLITE_OK || f.FpMethods == 0 {
		return rc
	}
	f.FpMethods = countingMethods(tls, methods{f.FpMethods, flags&sqlite3.SQLITE_OPEN_WAL != 0})
	return rc
}

// countingMethods gives the copy of a table that counts.
func countingMethods(tls *libc.TLS, m methods) uintptr {
	original.mu.Lock()
	defer original.mu.Unlock()
	if made, ok := original.copies[m]; ok {
		return made
	}
	from := (*sqlite3.Tsqlite3_io_methods)(at(m.table))
	made := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*from)))
	if made == 0 {
		return m.table // out of memory: uncounted
	}
	if original.copies == nil {
		original.copies = map[methods]uintptr{}
		original.sync = *(*func(*libc.TLS, uintptr, int32) int32)(unsafe.Pointer(&from.FxSync))
		original.write = *(*func(*libc.TLS, uintptr, uintptr, int32, int64) int32)(unsafe.Pointer(&from.FxWrite))
	}
	to := (*sqlite3.Tsqlite3_io_methods)(at(made))
	*to = *from
	sync, write := syncCounting, writeCounting
	to.FxSync = *(*uintptr)(unsafe.Pointer(&sync))
	if m.log {
		to.FxWrite = *(*uintptr)(unsafe.Pointer(&write))
	}
	original.copies[m] = made
	return made
}

func syncCounting(tls *libc.TLS, file uintptr, flags int32) int32 {
	syncs.Add(1)
	return original.sync(tls, file, flags)
}

// writeCounting finds commits: the header of a log's frame has 24 bytes, and bytes 4 to 7 are zero unless the frame
// ends a transaction.
func writeCounting(tls *libc.TLS, file, data uintptr, n int32, offset int64) int32 {
	const frameHeader = 24
	if n == frameHeader && *(*uint32)(at(data + 4)) != 0 {
		commits.Add(1)
	}
	return original.write(tls, file, data, n, offset)
}
