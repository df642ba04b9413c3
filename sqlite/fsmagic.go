package sqlite

import (
	"fmt"

	"github.com/holdfastq/holdfast"
)

// unfitError says what to do about a file system that would break the database.
func unfitError(path, fileSystem string) error {
	return fmt.Errorf("%w: %s is on a network or virtual file system (%s), where SQLite's locks do not hold and databases get corrupt; use a local disk, or PostgreSQL for several machines", holdfast.ErrUnusable, path, fileSystem)
}
