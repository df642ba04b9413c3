//go:build !unix

package supervise

import (
	"context"
	"errors"
	"fmt"
)

func run(context.Context, Command) (Exit, error) {
	return Exit{}, fmt.Errorf("%w: %w", ErrNotStarted, errors.New("commands are not run on this system"))
}

// Shim must be the first thing that main calls. It does nothing here.
func Shim() {}

// Sweep ends what children of dead processes have left behind. There are none here.
func Sweep() int { return 0 }
