package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/config"
)

// Errors of the command's own.
var (
	errUsage       = errors.New("usage")
	errNoStore     = errors.New("no store")
	errForeign     = fmt.Errorf("%w: a database of another program", holdfast.ErrUnusable)
	errInterrupted = errors.New("interrupted")
)

const exitFailed = 1

// exits is the one table from what went wrong to the exit code. Where an error is of several kinds, the lowest row that
// knows it counts: an unknown outcome is that whatever else it is.
var exits = []struct {
	code    int
	meaning string
	errors  []error
}{
	{0, "done as asked", nil},
	{exitFailed, "failed, or interrupted", nil},
	{2, "usage or config: the command line, the data or a setting is wrong", []error{errUsage, holdfast.ErrInvalid}},
	{3, "not found, or nothing to take", []error{holdfast.ErrNotFound, holdfast.ErrEmpty}},
	{4, "timed out", []error{holdfast.ErrTimedOut, context.DeadlineExceeded}},
	{5, "unreachable: there is no store, or it went away", []error{errNoStore, holdfast.ErrClosed}},
	{6, "lease lost: another may have the job, or its outcome is recorded", []error{holdfast.ErrLeaseLost}},
	{7, "conflict or bound: the job's state, a key or a limit forbids it", []error{holdfast.ErrConflict, holdfast.ErrDuplicate, holdfast.ErrTooLarge, holdfast.ErrCancelled}},
	{8, "store unusable: no database of ours, a newer schema, a network file system, read-only, corrupt", []error{holdfast.ErrUnusable, holdfast.ErrCorrupt}},
	{9, "unknown outcome: it may have happened; repeat the same command", []error{holdfast.ErrUnknown}},
}

// exitCode gives the code with which an error ends the process.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if child := (*childExit)(nil); errors.As(err, &child) {
		return child.code
	}
	for i := len(exits) - 1; i >= 0; i-- {
		for _, kind := range exits[i].errors {
			if errors.Is(err, kind) {
				return exits[i].code
			}
		}
	}
	return exitFailed
}

// exitCodesTopic is `holdfast help exit-codes`.
func exitCodesTopic() *cobra.Command {
	var text strings.Builder
	text.WriteString("Exit codes, the same for every command:\n\n")
	for _, e := range exits {
		fmt.Fprintf(&text, "  %d  %s\n", e.code, e.meaning)
	}
	text.WriteString("\nrun ends with the exit code of its command, or with 128 and the number of the signal that ended it; 125 is trouble of our\nown. What a command of consume answers: holdfast help script.\n")
	return &cobra.Command{Use: "exit-codes", Short: "what the exit codes mean", Long: text.String()}
}

// usageError says what is wrong with the command line.
type usageError struct{ text string }

func (e *usageError) Error() string        { return e.text }
func (e *usageError) Is(target error) bool { return target == errUsage }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// told is an error about which everything was said already: it only decides the exit code.
type told struct{ error }

func (t told) Unwrap() error { return t.error }

// remedy is an error with what to do about it.
type remedy struct {
	error
	text string
}

func (r *remedy) Unwrap() error { return r.error }
func (r *remedy) Error() string { return r.text }

// mistakesText shows what is wrong with the settings: mistakes of a file begin with their place, as editors expect it.
func mistakesText(err error) string {
	mistakes := config.Errors{}
	if !errors.As(err, &mistakes) {
		return ""
	}
	text := cleanLines(mistakes.Error())
	if mistakes[0].File == "" {
		text = "holdfast: " + text
	}
	return text
}

// errorText shows an error in one line: without the prefixes that the library's errors carry for programs, and without
// control characters.
func errorText(err error) string {
	if _, silent := err.(told); silent || err == nil {
		return ""
	}
	text := err.Error()
	for _, noise := range []string{"holdfast: invalid: ", "holdfast: conflict: ", "holdfast: too large: ", "holdfast: "} {
		text = strings.ReplaceAll(text, noise, "")
	}
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	if path := new(os.PathError); errors.As(err, &path) && text == "" {
		text = path.Error()
	}
	return clean(text)
}
