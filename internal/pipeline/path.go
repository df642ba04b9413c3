package pipeline

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/holdfastq/holdfast"
)

// FailedSuffix is what the name of an input ends with once its job has failed.
const FailedSuffix = ".failed"

const (
	maxPath = 4096       // bytes of a path in a job
	partial = ".partial" // marks what is being written: a suffix beside inputs, a folder beside outputs
)

// File is the data of a job on a file: its path below the primary path, with slashes.
type File struct {
	Path string `json:"path"`
}

// CheckPath says why a path can be no job: ErrInvalid, or nil. It looks at the name alone; what is there is seen when
// it is opened. Names of any characters are fine, but not what leads outside, hidden files, holdfast's own files, and
// what has failed already.
func CheckPath(name string) error {
	bad := func(why string) error {
		return fmt.Errorf("%w: path %s %s", holdfast.ErrInvalid, shown(name), why)
	}
	switch {
	case name == "":
		return fmt.Errorf("%w: a file job needs a path", holdfast.ErrInvalid)
	case len(name) > maxPath:
		return fmt.Errorf("%w: path has %d bytes, at most %d are allowed", holdfast.ErrInvalid, len(name), maxPath)
	case strings.ContainsRune(name, 0), !utf8.ValidString(name):
		return bad("is no text")
	case path.IsAbs(name):
		return bad("is absolute; it must be relative to the primary path")
	case !filepath.IsLocal(filepath.FromSlash(name)):
		return bad("leads outside the primary path")
	case path.Clean(name) != name:
		return bad("has another spelling, " + shown(path.Clean(name)) + "; use that")
	case name == ".":
		return bad("is a folder")
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case strings.HasPrefix(part, "."):
			return bad("is hidden: dot files are never jobs")
		case strings.HasPrefix(part, "holdfast."):
			return bad("is holdfast's own: holdfast.* is never a job")
		}
	}
	if strings.HasSuffix(name, FailedSuffix) {
		return bad("has failed already: *" + FailedSuffix + " is never a job; retry its job instead")
	}
	return nil
}

// checkFolder says what is wrong with the name of a folder of ours below the primary path; "." is the primary path.
func checkFolder(field, name string) error {
	if name == "." {
		return nil
	}
	if err := CheckPath(name); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

// below gives the part of a path inside a folder; false: it is not inside.
func below(folder, name string) (string, bool) {
	if folder == "." {
		return name, true
	}
	return strings.CutPrefix(name, folder+"/")
}

// shown is a foreign name in a message: bounded, without control characters, quoted only if it needs it.
func shown(name string) string {
	const most = 120
	more := ""
	if len(name) > most {
		name, more = strings.ToValidUTF8(name[:most], ""), "…"
	}
	if quoted := fmt.Sprintf("%q", name); quoted != `"`+name+`"` || strings.ContainsRune(name, ' ') || name == "" {
		name = quoted
	}
	return name + more
}
