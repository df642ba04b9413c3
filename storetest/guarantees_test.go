package storetest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The names in docs/guarantees.md are worth something only as long as there are such tests.
func TestGuaranteesNameTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	known := goTests(t)
	for _, g := range groups {
		for _, p := range g.promises {
			known[g.noun+"/"+p.name] = true
		}
	}
	item := regexp.MustCompile("(?m)^\\* `(.+)`$")
	sections := strings.Split(string(text), "\n## ")
	for n := 1; n <= 9; n++ {
		section := ""
		for _, s := range sections {
			if strings.HasPrefix(s, fmt.Sprintf("%d. ", n)) {
				section = s
			}
		}
		names := item.FindAllStringSubmatch(section, -1)
		if len(names) == 0 {
			t.Errorf("promise %d has no tests", n)
		}
		for _, name := range names {
			if !known[name[1]] {
				t.Errorf("promise %d: there is no test %q", n, name[1])
			}
		}
	}
}

// goTests finds the names of all Go tests of the repository.
func goTests(t *testing.T) map[string]bool {
	names := map[string]bool{}
	test := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range test.FindAllSubmatch(source, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestNoTwoCasesHaveTheSameName(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range groups {
		for _, p := range g.promises {
			name := g.noun + "/" + p.name
			if seen[name] {
				t.Errorf("there are two cases %q", name)
			}
			seen[name] = true
		}
	}
}
