package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Bounds of what is kept of a child's output.
const (
	MaxLine = 64 << 10 // a longer line is split
	MaxTail = 64 << 10 // the last so many bytes of all output are kept
)

// DefaultGrace is the time from TERM to KILL.
const DefaultGrace = 4 * time.Second

// Command is a child to run. Args is argv, never a line for a shell.
type Command struct {
	// Args is the program, by name or path, and its arguments. See Find.
	Args []string

	// Dir is the folder it starts in. Default: ours.
	Dir string

	// Env is its whole environment; see Environment. A marker of ours is added.
	Env []string

	// Stdin is what it reads. A file is handed over as it is, anything else is copied. Default: nothing.
	Stdin io.Reader

	// Line is called with each line of its output, one call at a time. It must be quick: the child waits for it once a
	// pipe is full. Text is valid until Line returns. See Lossy for what may be slow.
	Line func(Line)

	// Out and Err get stdout and stderr byte for byte. The child waits for them, as it does for whoever reads a pipe; one
	// that gives an error is to the child a pipe that nobody reads any more. Default: none.
	Out, Err io.Writer

	// Long lets lines of stdout that begin with Long be up to LongBytes long.
	Long      string
	LongBytes int

	// Grace is the time from TERM to KILL. Default DefaultGrace.
	Grace time.Duration
}

// Exit is how a child ended. By then nothing of its tree is left, except for Left.
type Exit struct {
	Code   int    // 0 to 255, or -1: a signal ended it
	Signal string // that ended it: "SIGKILL"
	Number int    // of that signal
	Told   bool   // we told it to end, because the context had
	Killed bool   // some of its tree had to be killed
	Strays bool   // it ended and left processes behind; they were ended
	// OutOfMemory says that it was killed, not by us, and that the kernel killed for want of memory meanwhile.
	OutOfMemory bool

	Left    int           // processes that even KILL did not end within 5 s
	Memory  int64         // the most bytes that one process of the tree had in memory; 0: too few to be seen
	Took    time.Duration // from its start
	Tail    []byte        // the last of its output, stdout and stderr as they came
	LastErr string        // the last line of stderr with something in it
}

// Success says whether it ended by itself with exit code 0.
func (e *Exit) Success() bool { return e.Code == 0 }

// String says how it ended: "exit 3", "ended by SIGKILL".
func (e *Exit) String() string {
	if e.Code >= 0 {
		return fmt.Sprintf("exit %d", e.Code)
	}
	if e.OutOfMemory {
		return "ended by " + e.Signal + ", out of memory"
	}
	return "ended by " + e.Signal
}

// ErrNotStarted: the child was not started; the message says why.
var ErrNotStarted = errors.New("not started")

// errShimDied: somebody ended the shim. What bore our marker was ended, how the child ended is unknown.
var errShimDied = errors.New("its keeper process was killed")

// Find gives the program's path for Command.Args[0], as it is from here: a child may start in another folder.
func Find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if errors.Is(err, exec.ErrDot) {
		err = nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%w: there is no program %q in PATH", ErrNotStarted, program)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	return filepath.Abs(path)
}

// Always in a child's environment, if they are in ours.
var always = []string{"PATH", "HOME", "LANG"}

// Environment is a child's environment: PATH, HOME, LANG and what is named, as they are in ours, and what is given, as
// NAME=value. Nothing else of ours reaches it.
func Environment(names []string, given ...string) []string {
	var env []string
	for _, name := range slices.Concat(always, names) {
		if value, ok := os.LookupEnv(name); ok && !set(given, name) && !set(env, name) {
			env = append(env, name+"="+value)
		}
	}
	return append(env, given...)
}

func set(env []string, name string) bool {
	return slices.ContainsFunc(env, func(s string) bool { return strings.HasPrefix(s, name+"=") })
}

// Run runs a child and waits until nothing of it is left. When ctx ends, the whole tree gets TERM, and after Grace KILL.
// The error says that it was not started (ErrNotStarted), or that nobody can say how it ended; not that it failed.
func Run(ctx context.Context, c Command) (Exit, error) {
	if len(c.Args) == 0 || c.Args[0] == "" {
		return Exit{}, fmt.Errorf("%w: there is no command", ErrNotStarted)
	}
	if ctx.Err() != nil {
		return Exit{}, fmt.Errorf("%w: %w", ErrNotStarted, context.Cause(ctx))
	}
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	return run(ctx, c)
}
