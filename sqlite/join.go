package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/holdfastq/holdfast"
)

// Join gives the scope for what is put and done in the caller's own transaction on this database: it happens when the
// caller commits, and not at all otherwise.
//
// While the transaction is open and has written, every other writer of the file waits, in this process and in others:
// keep it short. It must be one that began as a writer (BEGIN IMMEDIATE, "_txlock=immediate"), or its first write may
// fail because another was faster. [Store.DB] has connections with all the right settings.
//
// ErrUnusable, with the setting to change: the transaction is on another file, or on a copy; its connection does not
// sync every commit; it runs on another SQLite library than ours, so that the two would break each other's locks.
func (s *Store) Join(ctx context.Context, tx *sql.Tx) (holdfast.Tx, error) {
	on := &callers{ctx: ctx, tx: tx}
	for _, check := range []func(*callers) error{s.sameLibrary, s.sameStore, s.sameFile, s.sameSchema, fullSync} {
		if err := check(on); err != nil {
			return holdfast.Tx{}, fmt.Errorf("join: %w", err)
		}
	}
	return holdfast.NewTx(&joined{s, tx}), nil
}

const selectLibrary = `select sqlite_source_id() || (select group_concat(compile_options, ' ') from pragma_compile_options)`

// sameLibrary compares the very build: two libraries in one process end each other's locks when they close the file.
func (s *Store) sameLibrary(on *callers) error {
	var ours, theirs string
	if err := one(on, selectLibrary, func(r row) { theirs = r.text(0) }); err != nil {
		return fmt.Errorf("%w: the transaction is not one of SQLite's: %w; begin it on sqlite.(*Store).DB()", holdfast.ErrUnusable, err)
	}
	err := s.readers.read(on.ctx, func(c *conn) error { return one(c, selectLibrary, func(r row) { ours = r.text(0) }) })
	if err != nil {
		return err
	}
	if ours != theirs {
		return fmt.Errorf("%w: the transaction runs on another SQLite library; open the database with modernc.org/sqlite, or use sqlite.(*Store).DB()", holdfast.ErrUnusable)
	}
	return nil
}

const selectStoreID = `select store_id from main.holdfast_meta`

func (s *Store) sameStore(on *callers) error {
	var id []byte
	there := false
	if err := one(on, `select 1 from main.sqlite_schema where type = 'table' and name = 'holdfast_meta'`, func(row) { there = true }); err != nil {
		return err
	}
	if there {
		if err := one(on, selectStoreID, func(r row) { id = r.blob(0) }); err != nil {
			return err
		}
	}
	if !bytes.Equal(id, s.id) {
		return fmt.Errorf("%w: the transaction is on another database; begin it on a connection to %s", holdfast.ErrUnusable, s.path)
	}
	return nil
}

// sameFile tells a copy of the database from the database.
func (s *Store) sameFile(on *callers) error {
	file := ""
	err := one(on, `select file from pragma_database_list where name = 'main'`, func(r row) { file = r.text(0) })
	if err != nil {
		return err
	}
	ours, err := os.Stat(s.path)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", holdfast.ErrUnusable, s.path, bare(err))
	}
	theirs, err := os.Stat(file)
	if err != nil || !os.SameFile(ours, theirs) {
		return fmt.Errorf("%w: the transaction is on %s, a copy; begin it on a connection to %s", holdfast.ErrUnusable, file, s.path)
	}
	return nil
}

// sameSchema notices that a newer program has changed the tables since we opened them.
func (s *Store) sameSchema(on *callers) error {
	return s.checkSchema(on)
}

func fullSync(on *callers) error {
	level := int64(0)
	if err := one(on, `pragma synchronous`, func(r row) { level = r.int(0) }); err != nil {
		return err
	}
	if level < 2 {
		return fmt.Errorf("%w: the transaction's connection does not sync each commit; open it with _pragma=synchronous(full), or use sqlite.(*Store).DB()", holdfast.ErrUnusable)
	}
	return nil
}

// joined is the caller's transaction as holdfast.TxStore. Each call plans before it writes, so that what is refused
// leaves nothing behind in the caller's transaction.
type joined struct {
	store *Store
	tx    *sql.Tx
}

func (j *joined) Insert(ctx context.Context, in holdfast.Insert) (answers []holdfast.Inserted, err error) {
	err = j.do(ctx, func(t *tx) error {
		answers, err = t.insert(in)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("insert in transaction: %w", err)
	}
	return answers, nil
}

func (j *joined) Finish(ctx context.Context, outcomes []holdfast.Outcome) (answers []holdfast.Finished, err error) {
	err = j.do(ctx, func(t *tx) error {
		answers, err = t.finishAll(outcomes)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("finish in transaction: %w", err)
	}
	return answers, nil
}

func (j *joined) do(ctx context.Context, f func(*tx) error) error {
	on := &callers{ctx: ctx, tx: j.tx}
	t := j.store.newTx(on)
	t.careful = true
	if _, err := on.exec("savepoint holdfast"); err != nil {
		return translate(j.store.path, err)
	}
	err := f(t)
	if err == nil {
		err = t.writeSums()
	}
	// The savepoint ends even if the caller's context has: the transaction is the caller's to go on with.
	after := &callers{ctx: context.WithoutCancel(ctx), tx: j.tx}
	if err != nil {
		_, undo := after.exec("rollback to holdfast")
		err = errors.Join(translate(j.store.path, err), undo)
	}
	_, release := after.exec("release holdfast")
	return errors.Join(err, release)
}

// callers is the session of the caller's transaction.
type callers struct {
	ctx context.Context
	tx  *sql.Tx
}

func (c *callers) exec(query string, args ...value) (int64, error) {
	done, err := c.tx.ExecContext(c.ctx, query, plain(args)...)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// query reads all rows before it gives the first: the transaction has one connection.
func (c *callers) query(query string, each func(row) error, args ...value) error {
	rows, err := c.tx.QueryContext(c.ctx, query, plain(args)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	var all []plainRow
	for rows.Next() {
		r := make(plainRow, len(columns))
		into := make([]any, len(columns))
		for i := range r {
			into[i] = &r[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		all = append(all, r)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, r := range all {
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}

func plain(args []value) []any {
	list := make([]any, len(args))
	for i := range args {
		list[i] = args[i].plain()
	}
	return list
}

// plainRow is a row as database/sql gives it.
type plainRow []any

func (r plainRow) int(i int) int64 {
	switch v := r[i].(type) {
	case int64:
		return v
	case bool:
		if v {
			return 1
		}
	}
	return 0
}

func (r plainRow) real(i int) float64 {
	switch v := r[i].(type) {
	case float64:
		return v
	case int64:
		return float64(v)
	}
	return 0
}

func (r plainRow) text(i int) string {
	switch v := r[i].(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

func (r plainRow) blob(i int) []byte {
	switch v := r[i].(type) {
	case []byte:
		return append([]byte{}, v...)
	case string:
		return []byte(v)
	}
	return nil
}

func (r plainRow) id(i int) (id [16]byte) {
	copy(id[:], r.blob(i))
	return id
}

func (r plainRow) null(i int) bool { return r[i] == nil }
