// Package migrate brings a database's schema up to date: numbered .sql files, each applied once, in order, in a
// transaction of its own together with its number. A migration that was released is never edited, only followed.
package migrate

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Step is one migration.
type Step struct {
	Number int
	Name   string // of its file
	SQL    string
}

// Load reads the migrations of a folder: files named NNNN_what.sql, numbered from 1 without a gap.
func Load(files fs.FS, dir string) ([]Step, error) {
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return nil, fmt.Errorf("load migrations: %w", err)
	}
	var steps []Step
	for _, e := range entries {
		if path.Ext(e.Name()) != ".sql" {
			continue
		}
		digits, _, ok := strings.Cut(e.Name(), "_")
		number, err := strconv.Atoi(digits)
		if !ok || err != nil {
			return nil, fmt.Errorf("load migrations: %s has no number", e.Name())
		}
		text, err := fs.ReadFile(files, path.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("load migrations: %w", err)
		}
		steps = append(steps, Step{number, e.Name(), string(text)})
	}
	slices.SortFunc(steps, func(a, b Step) int { return a.Number - b.Number })
	for i, s := range steps {
		if s.Number != i+1 {
			return nil, fmt.Errorf("load migrations: %s should have number %d", s.Name, i+1)
		}
	}
	return steps, nil
}

// Target is the database to migrate. Its transactions keep others from migrating at the same time.
type Target interface {
	Begin() error
	Version() (int, error) // the number of the latest step, 0 for none; inside the transaction
	Exec(sql string) error
	SetVersion(n int) error
	Commit() error
	Rollback() error
}

// Up applies the steps that the target lacks and says how many. Any number of processes may do so at once: each step
// looks again, inside its transaction, whether another was faster.
func Up(t Target, steps []Step) (int, error) {
	applied := 0
	for _, s := range steps {
		did, err := up(t, s)
		if err != nil {
			return applied, fmt.Errorf("migration %s: %w", s.Name, err)
		}
		if did {
			applied++
		}
	}
	return applied, nil
}

func up(t Target, s Step) (did bool, err error) {
	if err := t.Begin(); err != nil {
		return false, err
	}
	defer func() {
		if err != nil || !did {
			t.Rollback()
		}
	}()
	version, err := t.Version()
	if err != nil || version >= s.Number {
		return false, err
	}
	if err := t.Exec(s.SQL); err != nil {
		return false, err
	}
	if err := t.SetVersion(s.Number); err != nil {
		return false, err
	}
	return true, t.Commit()
}
