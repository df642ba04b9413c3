package sqlite

import (
	"embed"
	"fmt"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/migrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// applicationID marks a database that we have made: "hold" in ASCII.
const applicationID = 0x686f6c64

// oldestSQLite has the repair of a bug that could corrupt a WAL which several connections check-point.
const oldestSQLite = 3_051_003

// schemaNo is the schema that this program knows.
func schemaNo(steps []migrate.Step) int { return len(steps) }

// What a new database gets before its first table; another one keeps what it has.
const newSettings = `
	pragma page_size = 4096;
	pragma auto_vacuum = incremental;`

// writerPatience is how long one try of the writer waits for another's lock.
const writerPatience = 5 * time.Second

const writerSettings = `
	pragma synchronous = full;
	pragma wal_autocheckpoint = 4000;
	pragma journal_size_limit = 67108864;
	pragma cache_size = -65536;
	pragma temp_store = memory;`

// openWriter opens the connection that writes.
func (s *Store) openWriter() (*conn, error) {
	c, err := openConn(s.path, false)
	if err != nil {
		return nil, err
	}
	c.patience(writerPatience)
	if err := c.script(writerSettings); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// prepare opens the writer's connection and makes the database ready: one process at a time, by the turn.
func (s *Store) prepare() (c *conn, rebooted bool, err error) {
	if n := sqlite3.Xsqlite3_libversion_number(nil); n < oldestSQLite {
		return nil, false, fmt.Errorf("%w: SQLite %d can corrupt a database that several use; build with 3.51.3 or newer", holdfast.ErrUnusable, n)
	}
	if err := s.turn.take(); err != nil {
		return nil, false, err
	}
	defer s.turn.give()
	if c, err = s.openWriter(); err != nil {
		return nil, false, unusable(s.path, err)
	}
	defer func() {
		if err != nil {
			c.close()
			err = unusable(s.path, err)
		}
	}()
	if err := s.checkFile(c); err != nil {
		return c, false, err
	}
	if err := s.migrate(c); err != nil {
		return c, false, err
	}
	if rebooted, err = s.enter(c); err != nil {
		return c, false, err
	}
	return c, rebooted, syncFolder(s.path) // enter has opened the -wal
}

// one reads a single number or text.
func one(c session, sql string, into func(row), args ...value) error {
	return c.query(sql, func(r row) error { into(r); return nil }, args...)
}

// checkFile refuses what is not for us, before anything is written, and turns the WAL on.
func (s *Store) checkFile(c *conn) error {
	var owner, objects int64
	if err := one(c, `pragma application_id`, func(r row) { owner = r.int(0) }); err != nil {
		return err
	}
	if err := one(c, `select count(*) from sqlite_schema`, func(r row) { objects = r.int(0) }); err != nil {
		return err
	}
	if owner != 0 && owner != applicationID {
		return fmt.Errorf("%w: %s belongs to another program (application id %#x); name another file", holdfast.ErrUnusable, s.path, owner)
	}
	if err := s.checkSchema(c); err != nil {
		return err
	}
	if objects == 0 {
		if err := c.script(newSettings); err != nil {
			return err
		}
	}
	mode := ""
	if err := one(c, `pragma journal_mode = wal`, func(r row) { mode = r.text(0) }); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("%w: %s cannot have a WAL (journal mode %s); put it on a local disk", holdfast.ErrUnusable, s.path, mode)
	}
	return nil
}

const anyMeta = `select 1 from sqlite_schema where type = 'table' and name = 'holdfast_meta'`

const selectSchema = `select schema, min_reader from holdfast_meta`

// checkSchema refuses a schema whose reader we may not be.
func (s *Store) checkSchema(c session) error {
	steps, err := migrate.Load(migrations, "migrations")
	if err != nil {
		return err
	}
	there := false
	if err := one(c, anyMeta, func(row) { there = true }); err != nil || !there {
		return err
	}
	var schema, reader int64
	if err := one(c, selectSchema, func(r row) { schema, reader = r.int(0), r.int(1) }); err != nil {
		return err
	}
	if reader > int64(schemaNo(steps)) {
		return fmt.Errorf("%w: database is at schema %d, this binary knows %d; run a newer holdfast", holdfast.ErrUnusable, schema, schemaNo(steps))
	}
	return nil
}

// migrate brings the schema up to date.
func (s *Store) migrate(c *conn) error {
	steps, err := migrate.Load(migrations, "migrations")
	if err != nil {
		return err
	}
	_, err = migrate.Up(target{c}, steps)
	return err
}

// target is the database as package migrate wants it.
type target struct{ c *conn }

func (t target) Begin() error {
	for {
		_, err := t.c.exec(beginImmediate)
		if err == nil || !busy(err) {
			return err
		}
	}
}

func (t target) Version() (n int, err error) {
	there := false
	if err := one(t.c, anyMeta, func(row) { there = true }); err != nil || !there {
		return 0, err
	}
	err = one(t.c, selectSchema, func(r row) { n = int(r.int(0)) })
	return n, err
}

// Exec runs a migration. A database that has nothing else in it is marked as ours.
func (t target) Exec(sql string) error {
	var objects int64
	if err := one(t.c, `select count(*) from sqlite_schema`, func(r row) { objects = r.int(0) }); err != nil {
		return err
	}
	if objects == 0 {
		if err := t.c.script(fmt.Sprintf(`pragma application_id = %d`, applicationID)); err != nil {
			return err
		}
	}
	return t.c.script(sql)
}

const writeSchema = `update holdfast_meta set schema = ? where schema < ?`

func (t target) SetVersion(n int) error {
	if _, err := t.c.exec(writeSchema, num(n), num(n)); err != nil {
		return err
	}
	var owner int64
	if err := one(t.c, `pragma application_id`, func(r row) { owner = r.int(0) }); err != nil || owner != applicationID {
		return err // in somebody else's database the user_version is theirs
	}
	return t.c.script(fmt.Sprintf(`pragma user_version = %d`, n))
}

func (t target) Commit() error {
	_, err := t.c.exec("commit")
	return err
}

func (t target) Rollback() error {
	if t.c.autocommit() {
		return nil
	}
	_, err := t.c.exec("rollback")
	return err
}

const selectMeta = `select store_id, boot_id, swept_at from holdfast_meta`

const writeBoot = `update holdfast_meta set boot_id = ?, swept_at = ?`

// rebootGrace is what leases without a process behind them get after a start of the machine: what was left of them on
// the clock of before, nobody knows.
const rebootGrace = 30_000 // milliseconds

// unknownBoot stands for a boot id that cannot be known: it tells nothing about a start of the machine, and locks speak.
const unknownBoot = "unknown"

// restarted says that the machine was started between the two boots.
func restarted(before, now string) bool {
	return before != now && before != unknownBoot && now != unknownBoot
}

// rebootSlack is how far the latest sweep may lie ahead of the clock before it counts as one of another clock: where the
// clock is the wall's, it may be set back a little.
const rebootSlack = 1000 // milliseconds

const graceAll = `update holdfast_jobs set lease_until = ? where state = 2`

// enter reads which store this is. After a start of the machine the times of the monotonic clock are set anew.
func (s *Store) enter(c *conn) (rebooted bool, err error) {
	boot, sweptAt := "", int64(0)
	if err := one(c, selectMeta, func(r row) { s.id, boot, sweptAt = r.blob(0), r.text(1), r.int(2) }); err != nil {
		return false, err
	}
	if s.id == nil {
		return false, fmt.Errorf("%w: holdfast_meta is empty", holdfast.ErrCorrupt)
	}
	made := sweptAt == 0
	rebooted = !made && (restarted(boot, s.boot) || sweptAt > monotonicMS()+rebootSlack)
	if boot == s.boot && !made && !rebooted {
		return false, nil
	}
	db := target{c} // nobody else enters meanwhile: it is our turn
	if err := db.Begin(); err != nil {
		return false, err
	}
	defer db.Rollback()
	now := monotonicMS()
	if _, err := c.exec(writeBoot, text(s.boot), num(now)); err != nil {
		return false, err
	}
	if rebooted {
		if _, err := c.exec(graceAll, num(now+rebootGrace)); err != nil {
			return false, err
		}
	}
	return rebooted, db.Commit()
}
