package cli

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/sqlite"
)

// openStore is the opener of the real command.
func openStore(ctx context.Context, file string, mayMake bool) (holdfast.Store, bool, error) {
	if !mayMake {
		s, err := sqlite.OpenExisting(ctx, file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, false, errNoStore
		}
		if err != nil {
			return nil, false, err // not s: it would be a Store that is not nil
		}
		return s, false, nil
	}
	info, err := os.Stat(file)
	made := errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0
	s, err := sqlite.Open(ctx, file)
	if err != nil {
		return nil, false, err
	}
	return s, made, nil
}

// sqliteVersion is that of the SQLite inside, as it says itself.
func sqliteVersion(ctx context.Context) (version string, err error) {
	db, err := sql.Open("sqlite", ":memory:") // the driver that package sqlite brings
	if err != nil {
		return "", err
	}
	defer db.Close()
	err = db.QueryRowContext(ctx, "select sqlite_version()").Scan(&version)
	return version, err
}
