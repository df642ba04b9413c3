package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/holdfastq/holdfast"
)

// unfitFileSystems have locks or shared memory that do not hold between machines, or between a machine and its guests:
// SQLite's databases break on them. By the magic number of statfs.
var unfitFileSystems = map[uint32]string{
	0x6969:     "NFS",
	0x517B:     "SMB",
	0xFE534D42: "SMB",
	0xFF534D42: "CIFS",
	0x65735546: "FUSE or virtiofs",
	0x01021997: "9p",
	0x00C36400: "Ceph",
	0x5346414F: "AFS",
	0x6B414653: "AFS",
	0x73757245: "Coda",
	0x564C:     "NCP",
	0x0BD00BD0: "Lustre",
	0x47504653: "GPFS",
	0x19830326: "BeeGFS",
	0xAAD7AAEA: "PanFS",
	0x01161970: "GFS2",
	0x7461636F: "OCFS2",
	0x786F4256: "VirtualBox shared folder",
	0xBACBACBC: "VMware shared folder",
	0x7C7C6673: "Parallels shared folder",
}

// checkFileSystem refuses a database on a file system that would break it: ErrUnusable. The file may be missing, its
// folder may not.
func checkFileSystem(path string) error {
	var st syscall.Statfs_t
	err := statfs(path, &st)
	if os.IsNotExist(err) {
		err = statfs(filepath.Dir(path), &st)
	}
	if err != nil {
		return fmt.Errorf("%w: look at the file system of %s: %w", holdfast.ErrUnusable, path, err)
	}
	if name, unfit := unfitFileSystems[uint32(st.Type)]; unfit {
		return unfitError(path, name)
	}
	return nil
}

func statfs(path string, st *syscall.Statfs_t) error {
	for {
		err := syscall.Statfs(path, st)
		if err != syscall.EINTR { // network file systems answer so
			return err
		}
	}
}
