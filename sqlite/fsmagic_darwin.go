package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/holdfastq/holdfast"
)

// checkFileSystem refuses a database on a file system that would break it: ErrUnusable. The file may be missing, its
// folder may not.
func checkFileSystem(path string) error {
	var st syscall.Statfs_t
	err := syscall.Statfs(path, &st)
	if os.IsNotExist(err) {
		err = syscall.Statfs(filepath.Dir(path), &st)
	}
	if err != nil {
		return fmt.Errorf("%w: look at the file system of %s: %w", holdfast.ErrUnusable, path, err)
	}
	var name []byte
	for _, c := range st.Fstypename {
		if c == 0 {
			break
		}
		name = append(name, byte(c))
	}
	const local = 0x1000 // MNT_LOCAL
	virtual := strings.Contains(string(name), "fuse") || string(name) == "virtiofs" || string(name) == "9p"
	if st.Flags&local == 0 || virtual {
		return unfitError(path, string(name))
	}
	return nil
}
