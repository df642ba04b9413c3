package sqlite

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfastq/holdfast"
)

func TestLocalFileSystemsAreFit(t *testing.T) {
	fit := map[string]uint32{"ext4": 0xEF53, "xfs": 0x58465342, "btrfs": 0x9123683E, "tmpfs": 0x01021994,
		"overlay": 0x794C7630, "zfs": 0x2FC12FC1, "f2fs": 0xF2F52010, "bcachefs": 0xCA451A4E, "exfat": 0x2011BAB0, "ntfs3": 0x7366746E}
	for name, magic := range fit {
		if unfit, there := unfitFileSystems[magic]; there {
			t.Errorf("%s (%#x) is refused as %s", name, magic, unfit)
		}
	}
	folder := t.TempDir()
	for _, path := range []string{folder, filepath.Join(folder, "still-to-be-made.db")} {
		if err := checkFileSystem(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestUnfitFileSystemSaysWhatToDo(t *testing.T) {
	err := unfitError("/mnt/app.db", "NFS")
	if !errors.Is(err, holdfast.ErrUnusable) {
		t.Errorf("%v, want ErrUnusable", err)
	}
	for _, word := range []string{"/mnt/app.db", "NFS", "local disk", "PostgreSQL"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

func TestMissingFolderIsUnusable(t *testing.T) {
	if err := checkFileSystem(filepath.Join(t.TempDir(), "no", "app.db")); !errors.Is(err, holdfast.ErrUnusable) {
		t.Errorf("%v, want ErrUnusable", err)
	}
}
