package power

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/holdfastq/holdfast/internal/testrequire"
)

// traced are the system calls of a record: all that change a file or a folder, or bring it to disk. A question mark
// lets strace pass over a name that this architecture does not have.
var traced = []string{
	"?open", "openat", "?creat", "write", "pwrite64", "writev", "pwritev", "?pwritev2", "fsync", "fdatasync", "sync", "syncfs",
	"?sync_file_range", "?truncate", "ftruncate", "fallocate", "?rename", "renameat", "?renameat2", "?unlink", "unlinkat",
	"?link", "linkat", "copy_file_range", "sendfile",
}

// call is one system call as strace wrote it down.
type call struct {
	name       string
	args       []string
	ret        int64
	errno      string // "" if it succeeded
	began, end int    // numbers of the lines where it began and ended: no two calls share one
}

// needStrace skips aloud where there is no strace, or where it may not trace.
func needStrace(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		testrequire.Skip(t, "strace", "strace is not installed")
	}
	if out, err := exec.CommandContext(t.Context(), "strace", "-f", "--seccomp-bpf", "-e", "trace=fsync", "true").CombinedOutput(); err != nil {
		testrequire.Skip(t, "strace", "strace may not trace here: "+firstLine(out))
	}
}

// record runs a child's role under strace until it ends and gives the path of the record. inject, if not "", is strace's
// own expression of a fault.
func record(t testing.TB, role string, a args, inject string) (string, error) {
	file := filepath.Join(t.TempDir(), "strace")
	line := []string{"strace", "-f", "-y", "-xx", "-s", "70000", "--seccomp-bpf", "-o", file, "-e", "trace=" + strings.Join(traced, ",")}
	if inject != "" {
		line = append(line, "-e", "inject="+inject)
	}
	if out, err := child(t, role, a, line...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s under strace: %w\n%s", role, err, out)
	}
	return file, nil
}

func firstLine(out []byte) string {
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// parse reads a record. A call that was interrupted by others is put together from its two lines.
func parse(r io.Reader) ([]call, error) {
	var calls []call
	open := map[string]call{}   // by thread: begun and not ended
	head := map[string]string{} // by thread: its first line
	in := bufio.NewReaderSize(r, 1<<20)
	for n := 1; ; n++ {
		text, err := in.ReadString('\n')
		if err == io.EOF && text == "" {
			break
		} else if err != nil && err != io.EOF {
			return nil, err
		}
		thread, rest, ok := strings.Cut(strings.TrimSpace(text), " ")
		rest = strings.TrimSpace(rest)
		if !ok || strings.HasPrefix(rest, "+++") || strings.HasPrefix(rest, "---") {
			continue
		}
		if before, cut := strings.CutSuffix(rest, "<unfinished ...>"); cut {
			open[thread], head[thread] = call{began: n}, before
			continue
		}
		c := call{began: n}
		if strings.HasPrefix(rest, "<... ") {
			_, tail, ok := strings.Cut(rest, " resumed>")
			if c, ok = open[thread], ok && open[thread].began > 0; !ok {
				return nil, fmt.Errorf("line %d: a call is resumed that never began", n)
			}
			rest = head[thread] + tail
			delete(open, thread)
		}
		c.end = n
		if err := c.read(rest); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		calls = append(calls, c)
	}
	slices.SortFunc(calls, func(a, b call) int { return a.began - b.began })
	return calls, nil
}

// read takes a whole line apart: name(args) = result. Strings and paths are all in hexadecimal, so commas, brackets and
// equal signs are strace's own.
func (c *call) read(line string) error {
	at := strings.LastIndex(line, " = ")
	if at < 0 {
		return fmt.Errorf("no result in %.60q", line)
	}
	body, ok := strings.CutSuffix(strings.TrimSpace(line[:at]), ")")
	name, list, ok2 := strings.Cut(body, "(")
	if !ok || !ok2 {
		return fmt.Errorf("no call in %.60q", line)
	}
	c.name, c.args = name, strings.Split(list, ", ")
	result := line[at+3:]
	digits, more, _ := strings.Cut(result, " ")
	digits, _, _ = strings.Cut(digits, "<") // what -y says about a descriptor
	if digits == "?" {
		c.ret, c.errno = -1, "?" // it was interrupted and begins again, or its process ended
		return nil
	}
	var err error
	if c.ret, err = strconv.ParseInt(digits, 0, 64); err != nil {
		return fmt.Errorf("result of %.60q: %w", line, err)
	}
	if c.ret < 0 {
		c.errno, _, _ = strings.Cut(more, " ")
	}
	return nil
}

// file is the path behind the descriptor in an argument.
func (c *call) file(i int) (string, error) {
	_, path, ok := strings.Cut(c.args[i], "<")
	path, _, ok2 := strings.Cut(path, ">")
	if !ok || !ok2 {
		return "", nil // no file: a pipe that was closed, a folder that was left out
	}
	out, err := unhex(path)
	return string(out), err
}

// path is the path in two arguments, a folder's descriptor and a name, or in one.
func (c *call) path(folder, name int) (string, error) {
	text, err := c.text(name)
	if err != nil || filepath.IsAbs(string(text)) || folder < 0 {
		return string(text), err
	}
	dir, err := c.file(folder)
	return filepath.Join(dir, string(text)), err
}

// text is the string in an argument.
func (c *call) text(i int) ([]byte, error) {
	s, ok := strings.CutPrefix(c.args[i], `"`)
	s, ok2 := strings.CutSuffix(s, `"`)
	if !ok || !ok2 {
		return nil, fmt.Errorf("%s: argument %d is no whole string: %.40q", c.name, i+1, c.args[i])
	}
	return unhex(s)
}

func (c *call) number(i int) (int64, error) {
	return strconv.ParseInt(strings.TrimSpace(c.args[i]), 0, 64)
}

// unhex reads \x2f\x74…; what is not in that form stays as it is, such as pipe:[7].
func unhex(s string) ([]byte, error) {
	out := make([]byte, 0, len(s)/4)
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			out = append(out, s[i])
			i++
			continue
		}
		if i+4 > len(s) || s[i+1] != 'x' {
			return nil, fmt.Errorf("not hexadecimal: %.20q", s[i:])
		}
		hi, lo := nibble(s[i+2]), nibble(s[i+3])
		if hi > 15 || lo > 15 {
			return nil, fmt.Errorf("not hexadecimal: %.20q", s[i:])
		}
		out = append(out, hi<<4|lo)
		i += 4
	}
	return out, nil
}

func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// A step is a call that matters to the files of one database.
type step struct {
	kind stepKind
	at   int // a write and its like may be on disk from its begin on, a sync has brought to disk only when it ended
	// since is the line where the call began: a sync vouches for what had ended before.
	since, until int
	name         string // of the file, in its folder
	data         []byte // of a write
	off          int64  // of a write; the length of a truncate
	failed       bool   // of a sync: the kernel may have dropped what it could not write
	said         *said  // what the child said in its tale
}

type stepKind uint8

const (
	stepWrite stepKind = iota
	stepTruncate
	stepLink   // a new file
	stepUnlink //
	stepRename // from name to the one in data
	stepSync
	stepSyncDir
	stepSaid
)

func (k stepKind) String() string {
	return [...]string{"write", "truncate", "link", "unlink", "rename", "sync", "sync of the folder", "said"}[k]
}

// timeline picks the steps of the database at path, and what the child said in its tale, in the order in which they
// count.
func timeline(calls []call, path, tale string) ([]step, error) {
	var steps []step
	for i := range calls {
		s, ok, err := calls[i].step(path, tale)
		if err != nil {
			return nil, fmt.Errorf("%s at line %d: %w", calls[i].name, calls[i].began, err)
		}
		if !ok {
			continue
		}
		s.since, s.until, s.at = calls[i].began, calls[i].end, calls[i].began
		if s.kind == stepSync || s.kind == stepSyncDir {
			s.at = s.until
		}
		steps = append(steps, s)
	}
	slices.SortStableFunc(steps, func(a, b step) int { return a.at - b.at })
	return steps, nil
}

var errUnplaced = errors.New("a change of the database that this harness cannot place")

// step says what a call means for the database; false if nothing.
func (c *call) step(path, tale string) (s step, ok bool, err error) {
	switch c.name {
	case "open", "openat", "creat":
		folder := -1
		if c.name == "openat" {
			folder = 0
		}
		file, err := c.path(folder, folder+1)
		flags := c.name == "creat" || strings.Contains(c.args[min(folder+2, len(c.args)-1)], "O_CREAT")
		if err != nil || c.errno != "" || !flags || !ours(file, path) {
			return s, false, err
		}
		if strings.Contains(c.args[folder+2], "O_TRUNC") {
			return s, false, errUnplaced
		}
		return step{kind: stepLink, name: filepath.Base(file)}, true, nil
	case "unlink", "unlinkat", "truncate", "rename", "renameat", "renameat2", "link", "linkat":
		return c.stepOfPath(path)
	case "sync", "syncfs":
		return s, false, nil // none of ours, and it promises nothing that we count on
	}
	file, err := c.file(0)
	if err != nil {
		return s, false, err
	}
	if file == filepath.Dir(path) && (c.name == "fsync" || c.name == "fdatasync") {
		return step{kind: stepSyncDir, failed: c.errno != ""}, c.errno != "?", nil
	}
	if file == tale && c.name == "write" && c.errno == "" {
		text, err := c.text(1)
		s := step{kind: stepSaid, said: new(said)}
		if err == nil {
			err = json.Unmarshal(text, s.said)
		}
		return s, true, err
	}
	if !ours(file, path) {
		return s, false, nil
	}
	return c.stepOfFile(filepath.Base(file))
}

func (c *call) stepOfPath(path string) (s step, ok bool, err error) {
	folder := -1
	if strings.HasSuffix(c.name, "at") || strings.HasSuffix(c.name, "at2") {
		folder = 0
	}
	file, err := c.path(folder, folder+1)
	if err != nil || c.errno != "" {
		return s, false, err
	}
	switch c.name {
	case "unlink", "unlinkat":
		return step{kind: stepUnlink, name: filepath.Base(file)}, ours(file, path), nil
	case "rename", "renameat", "renameat2":
		at, name := -1, 1
		if folder == 0 {
			at, name = 2, 3
		}
		to, err := c.path(at, name)
		if err == nil && ours(file, path) != ours(to, path) {
			err = errUnplaced
		}
		return step{kind: stepRename, name: filepath.Base(file), data: []byte(filepath.Base(to))}, ours(file, path), err
	}
	if ours(file, path) {
		err = errUnplaced
	}
	return s, false, err
}

func (c *call) stepOfFile(name string) (s step, ok bool, err error) {
	s.name = name
	switch c.name {
	case "fsync", "fdatasync":
		s.kind, s.failed = stepSync, c.errno != ""
		return s, c.errno != "?", nil
	case "ftruncate":
		s.kind = stepTruncate
		s.off, err = c.number(1)
		return s, c.errno == "", err
	case "pwrite64":
		if c.errno != "" {
			return s, false, nil // nothing was written
		}
		s.kind = stepWrite
		if s.data, err = c.text(1); err == nil {
			s.off, err = c.number(3)
		}
		if int64(len(s.data)) < c.ret {
			return s, false, fmt.Errorf("%w: the record has %d of %d bytes", errUnplaced, len(s.data), c.ret)
		}
		s.data = s.data[:c.ret]
		return s, true, err
	}
	return s, false, errUnplaced
}

// ours says whether a file belongs to the database at path and outlives a power cut: itself, its log, its journal. Its
// -shm is made anew by whoever opens first, the folder beside it has nothing worth keeping.
func ours(file, path string) bool {
	more, ok := strings.CutPrefix(file, path)
	return ok && (more == "" || more == "-wal" || more == "-journal")
}

// readTimeline reads the record of a life.
func readTimeline(file string, a args) ([]step, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	calls, err := parse(f)
	if err != nil {
		return nil, err
	}
	return timeline(calls, a.path(), a.tale())
}
