package crashtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/testrequire"
	"github.com/holdfastq/holdfast/sqlite"
)

// A database on a file system of a program (FUSE) is refused before anything is written there.
func TestFuseIsRefused(t *testing.T) {
	bindfs, err := exec.LookPath("bindfs")
	if err != nil {
		testrequire.Skip(t, "fuse", "bindfs is not installed")
	}
	behind, mount := t.TempDir(), t.TempDir()
	if out, err := exec.Command(bindfs, "--no-allow-other", behind, mount).CombinedOutput(); err != nil {
		testrequire.Skip(t, "fuse", "bindfs cannot mount here: "+strings.TrimSpace(string(out)))
	}
	t.Cleanup(func() {
		for _, unmount := range [][]string{{"fusermount3", "-u", mount}, {"fusermount", "-u", mount}, {"umount", mount}} {
			if exec.Command(unmount[0], unmount[1:]...).Run() == nil {
				return
			}
		}
		t.Errorf("%s stays mounted", mount)
	})
	store, err := sqlite.Open(t.Context(), filepath.Join(mount, "app.db"))
	if err == nil {
		store.Close()
	}
	if !errors.Is(err, holdfast.ErrUnusable) || !strings.Contains(err.Error(), "FUSE") || !strings.Contains(err.Error(), "PostgreSQL") {
		t.Errorf("open on FUSE: %v; want ErrUnusable that names it and says what to use", err)
	}
	if left, err := os.ReadDir(behind); err != nil || len(left) > 0 {
		t.Errorf("files were made there: %v, %v", left, err)
	}
}
