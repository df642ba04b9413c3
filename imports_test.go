package holdfast_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/holdfastq/holdfast"

// edges says which packages each package of ours imports, besides the standard library. "." is the root. Dependencies
// point one way: the root knows nobody, a store knows the root and its driver, only internal/cli knows everybody. A name
// with a slash at its end stands for all packages below it.
var edges = map[string][]string{
	".":         {},
	"memory":    {"."},
	"sqlite":    {".", "internal/migrate", "modernc.org/sqlite", "modernc.org/sqlite/lib", "modernc.org/libc"},
	"storetest": {".", "memory", "pgregory.net/rapid"},

	"cmd/holdfast": {"internal/cli"},
	"docs":         {},
	"examples/":    {".", "sqlite"},

	"internal/cli": {".", "sqlite", "docs", "internal/config", "internal/pipeline", "internal/supervise", "internal/torture",
		"github.com/mattn/go-isatty", "github.com/spf13/cobra", "github.com/spf13/pflag"},
	"internal/config": {".", "github.com/goccy/go-yaml", "github.com/goccy/go-yaml/ast", "github.com/goccy/go-yaml/lexer",
		"github.com/goccy/go-yaml/parser", "github.com/goccy/go-yaml/token"},
	"internal/crashtest":           {"."},
	"internal/crashtest/histories": {".", "github.com/anishathalye/porcupine"},
	"internal/crashtest/power":     {}, // tests alone
	"internal/migrate":             {},
	"internal/pipeline":            {".", "internal/supervise"},
	"internal/supervise":           {},
	"internal/testrequire":         {},
	"internal/torture":             {"."},
}

// What a program that imports the root and package sqlite links, on Linux. More than that is a decision.
const (
	linkedForeign = 12  // packages of others
	linkedInAll   = 145 // with ours and the standard library's of Go 1.26
)

func TestPackagesImportWhatTheyMay(t *testing.T) {
	used := map[string]map[string]bool{} // line of edges: what is imported, somewhere
	for _, goos := range []string{"linux", "darwin", "windows"} {
		for _, p := range list(t, goos, false, "./...") {
			name := ours(p.ImportPath)
			line := lineOf(name)
			allowed, known := edges[line]
			if !known {
				t.Errorf("package %s is new; if the house is to have this room, add a line for it to edges in imports_test.go", name)
				continue
			}
			if used[line] == nil {
				used[line] = map[string]bool{}
			}
			for _, i := range p.Imports {
				if standard(i) {
					continue
				}
				used[line][ours(i)] = true
				if !slices.Contains(allowed, ours(i)) {
					t.Errorf("on %s package %s imports %s, which is new; if that is on purpose, add it to the line of %s in imports_test.go", goos, name, ours(i), line)
				}
			}
		}
	}
	for line, allowed := range edges {
		if used[line] == nil {
			t.Errorf("%s is in edges of imports_test.go but not in the tree; take its line out", line)
			continue
		}
		for _, i := range allowed {
			if !used[line][i] {
				t.Errorf("%s no longer imports %s; take it out of its line in imports_test.go, so that its return is seen", line, i)
			}
		}
	}
}

// lineOf is the key of edges for a package.
func lineOf(name string) string {
	if first, _, below := strings.Cut(name, "/"); below {
		if _, ok := edges[first+"/"]; ok {
			return first + "/"
		}
	}
	return name
}

func TestRootLinksOnlyTheStandardLibrary(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		for _, p := range list(t, goos, true, ".") {
			if !p.Standard && p.ImportPath != module {
				t.Errorf("on %s package holdfast links %s; importers of the root get the standard library and nothing else", goos, p.ImportPath)
			}
		}
	}
}

func TestImportersLinkFewPackages(t *testing.T) {
	all := list(t, "linux", true, ".", "./sqlite")
	var foreign []string
	for _, p := range all {
		if !p.Standard && !strings.HasPrefix(p.ImportPath, module) {
			foreign = append(foreign, p.ImportPath)
		}
	}
	if len(foreign) > linkedForeign {
		t.Errorf("an importer of the root and sqlite links %d packages of others, at most %d are allowed: raise linkedForeign in imports_test.go if that is on purpose\n%s",
			len(foreign), linkedForeign, strings.Join(foreign, "\n"))
	}
	if !strings.HasPrefix(runtime.Version(), "go1.26") {
		t.Logf("%s has a standard library of its own size: the count of all packages (%d) is held with Go 1.26", runtime.Version(), len(all))
	} else if len(all) > linkedInAll {
		t.Errorf("an importer of the root and sqlite links %d packages, at most %d are allowed: raise linkedInAll in imports_test.go if that is on purpose", len(all), linkedInAll)
	}
}

type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

// list asks the go command for packages as another system would build them.
func list(t *testing.T, goos string, deps bool, patterns ...string) []listed {
	t.Helper()
	args := append([]string{"list", fmt.Sprintf("-deps=%v", deps), "-json=ImportPath,Standard,Imports"}, patterns...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var packages []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// ours is a package's path within the module, "." for the root; a path of others stays as it is.
func ours(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

// standard says whether a path belongs to the standard library: its first word has no dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}
