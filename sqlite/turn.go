package sqlite

import (
	"fmt"
	"os"
)

// turn is the lock at which the writers of all processes queue, held over a transaction from begin to commit. SQLite's
// own lock protects the file and needs no help with that, but who waits for it polls, and the unlucky starve for
// seconds; here the kernel wakes one after another.
//
// A turn has one holder at a time, and take and give are called by one goroutine at a time.
type turn struct {
	file *os.File
}

// openTurn opens the lock file, and makes it where it is missing.
func openTurn(path string) (*turn, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open turn: %w", err)
	}
	return &turn{f}, nil
}

// take waits until it is our turn, however long another holds it: one that is frozen inside its transaction has
// SQLite's lock too, and whoever passed by would only meet that.
func (t *turn) take() error {
	if err := lockFile(t.file, false); err != nil {
		return fmt.Errorf("take turn: %w", err)
	}
	return nil
}

// give lets the next one have its turn.
func (t *turn) give() error {
	if err := unlockFile(t.file); err != nil {
		return fmt.Errorf("give turn: %w", err)
	}
	return nil
}

// close gives the turn, if it is held, and lets go of the file.
func (t *turn) close() error { return t.file.Close() }
