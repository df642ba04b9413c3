package pipeline

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
)

// workshop is a folder that a consumer has for itself while it lives: it holds a lock on it. What consumers that died
// have left in theirs is removed by the next one.
type workshop struct {
	folder *Folder
	name   string // below the primary path
	held   *os.File
}

const workshopPrefix = "command-"

// openWorkshop makes a workshop in a folder of ours, and clears those of the dead.
func openWorkshop(ctx context.Context, folder *Folder, dir string) (*workshop, error) {
	if err := folder.mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	clearDead(folder, dir)
	for ctx.Err() == nil {
		w := &workshop{folder: folder, name: path.Join(dir, workshopPrefix+rand.Text())}
		if err := folder.root.Mkdir(w.name, 0o700); err != nil {
			return nil, err
		}
		held, err := folder.root.Open(w.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another took it for a dead one's before we had locked it
		}
		if err != nil {
			return nil, err
		}
		w.held = held
		mine, err := lock(held)
		if there, lookErr := folder.exists(w.name); (mine || err != nil) && there && lookErr == nil {
			return w, nil // some file systems have no such lock
		}
		held.Close()
	}
	return nil, context.Cause(ctx)
}

// clearDead removes workshops that nobody holds.
func clearDead(folder *Folder, dir string) {
	d, err := folder.root.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	names, _ := d.Readdirnames(1_000) // those that are left are for the next start
	for _, name := range names {
		if !strings.HasPrefix(name, workshopPrefix) {
			continue
		}
		w := workshop{folder: folder, name: path.Join(dir, name)}
		if w.held, err = folder.root.Open(w.name); err != nil {
			continue
		}
		if mine, err := lock(w.held); mine && err == nil {
			w.close()
			continue
		}
		w.held.Close()
	}
}

// room makes a folder for one attempt.
func (w *workshop) room(name string) (string, error) {
	dir := path.Join(w.name, name)
	return dir, w.folder.root.Mkdir(dir, 0o700)
}

// clear removes an attempt's folder.
func (w *workshop) clear(name string) { _ = w.folder.root.RemoveAll(path.Join(w.name, name)) }

// close removes the workshop.
func (w *workshop) close() {
	_ = w.folder.root.RemoveAll(w.name)
	w.held.Close()
}
