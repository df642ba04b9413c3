package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/holdfastq/holdfast"
)

func TestHouseIsForThisUserAlone(t *testing.T) {
	dir := newHouse(t)
	for _, d := range []string{dir, filepath.Join(dir, consumersName)} {
		info, err := os.Stat(d)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); runtime.GOOS != "windows" && got != 0o700 {
			t.Errorf("%s has mode %o, want 700", d, got)
		}
	}
	if filepath.Base(dir) != "app.db-holdfast" {
		t.Errorf("house is %s, want app.db-holdfast", dir)
	}
}

func TestHouseIsTheSameByAnotherName(t *testing.T) {
	root := t.TempDir()
	folder := filepath.Join(root, "data")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "app.db")
	folderLink, fileLink := filepath.Join(root, "link"), filepath.Join(root, "other.db")
	if err := errors.Join(os.Symlink(folder, folderLink), os.Symlink(filepath.Join("data", "app.db"), fileLink)); err != nil {
		t.Skipf("skipped: no symbolic links here: %v", err)
	}
	want, err := openHouse(file)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // before and after the database exists
		for _, name := range []string{file, fileLink, filepath.Join(folderLink, "app.db"), filepath.Join(folder, ".", "app.db")} {
			if got, err := openHouse(name); err != nil || got != want {
				t.Errorf("house of %s: %s, %v; want %s", name, got, err, want)
			}
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHouseThatCannotBe(t *testing.T) {
	root := t.TempDir()
	blocked := filepath.Join(root, "blocked.db")
	if err := os.WriteFile(blocked+"-holdfast", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"a file in its place": blocked,
		"no such folder":      filepath.Join(root, "no", "app.db"),
	} {
		if _, err := openHouse(path); !errors.Is(err, holdfast.ErrUnusable) {
			t.Errorf("%s: %v, want ErrUnusable", name, err)
		} else {
			t.Log(err)
		}
	}
}
