package cli

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/sqlite"
)

// openStore is the opener of the real command.
func openStore(ctx context.Context, file string, mayMake bool) (holdfast.Store, bool, error) {
	there, foreign := lookInto(ctx, file)
	switch {
	case foreign:
		return nil, false, errForeign
	case !there && !mayMake:
		return nil, false, errNoStore
	}
	s, err := sqlite.Open(ctx, file)
	if err != nil {
		return nil, false, err // not s: it would be a Store that is not nil
	}
	return s, !there, nil
}

// lookInto says whether there is a store in the file, or a database of another program, without changing a thing. A
// program may have our tables beside its own, through the library; the command does not put them there because of a
// typing error. What cannot be read counts as a store; opening it says why.
func lookInto(ctx context.Context, file string) (there, foreign bool) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, false
	case err != nil || !info.Mode().IsRegular():
		return true, false
	case info.Size() == 0:
		return false, false
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return true, false
	}
	address := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: "mode=ro&_pragma=busy_timeout(5000)"}
	db, err := sql.Open(driver, address.String())
	if err != nil {
		return true, false
	}
	defer db.Close()
	var all, ours int
	err = db.QueryRowContext(ctx, `select count(*), count(*) filter (where type = 'table' and name = 'holdfast_meta') from sqlite_schema`).Scan(&all, &ours)
	return err != nil || ours > 0, err == nil && all > 0 && ours == 0
}

// driver is the name under which package sqlite's driver is known.
const driver = "sqlite"

// sqliteVersion is that of the SQLite inside, as it says itself.
func sqliteVersion(ctx context.Context) (version string, err error) {
	db, err := sql.Open(driver, ":memory:")
	if err != nil {
		return "", err
	}
	defer db.Close()
	err = db.QueryRowContext(ctx, "select sqlite_version()").Scan(&version)
	return version, err
}
