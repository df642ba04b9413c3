//go:build !unix

package torture

import (
	"errors"
	"os"
)

// canPause says whether this system lets a process stand still.
const canPause = false

func freeze(*os.Process) error { return errors.ErrUnsupported }
func thaw(*os.Process) error   { return errors.ErrUnsupported }

func stands(*os.Process) bool { return false }

// killed says whether the process ended by force: here it cannot be told from another failure.
func killed(s *os.ProcessState) bool { return !s.Success() }
