package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/holdfastq/holdfast"
)

// Attachment is what is recorded, as the result of a failed job, of the input that belongs to it: enough to rename it, to
// rename it back and to remove it without ever touching another file.
type Attachment struct {
	Path    string    `json:"path"` // its name before it failed
	Size    int64     `json:"size"`
	ModTime time.Time `json:"mod_time"`
	Machine string    `json:"machine"`
	Folder  string    `json:"folder"` // the primary path on that machine
}

// Name is the file's name once its job has failed.
func (r Attachment) Name() string { return r.Path + FailedSuffix }

// AttachmentOf reads the record of a job that failed, or was reopened since; false: no file of ours belongs to it. The
// job must have its result with it.
func AttachmentOf(job *holdfast.Info) (Attachment, bool) {
	var r Attachment
	if !job.Attached {
		return r, false
	}
	d := json.NewDecoder(bytes.NewReader(job.Result))
	d.DisallowUnknownFields() // another program's record is none of ours
	if d.Decode(&r) != nil || r.Machine == "" || r.Folder == "" || CheckPath(r.Path) != nil {
		return Attachment{}, false
	}
	return r, true
}

// record describes an input as it was when its attempt failed.
func (f *Folder) record(name string, info fs.FileInfo) Attachment {
	return Attachment{Path: name, Size: info.Size(), ModTime: info.ModTime().UTC(), Machine: f.machine, Folder: f.name}
}

// ours says whether the record is of a file in this very folder. What has the recorded path, size and time is taken for
// the file anyway, wherever the folder was moved; only of what is missing does it say that it is gone for good.
func (f *Folder) ours(r Attachment) bool { return r.Machine == f.machine && r.Folder == f.name }

// is says whether what has that name is the recorded file: nil, fs.ErrNotExist, or why not.
func (f *Folder) is(name string, r Attachment) error {
	info, err := f.regular(name)
	if err != nil {
		return err
	}
	return r.is(name, info)
}

func (r Attachment) is(name string, info fs.FileInfo) error {
	if info.Size() != r.Size || !info.ModTime().Equal(r.ModTime) {
		return fmt.Errorf("%w: %s is not as it was when its job failed (%d bytes of %s, then %d bytes of %s)", errChanged, shown(name),
			info.Size(), stamp(info.ModTime()), r.Size, stamp(r.ModTime))
	}
	return nil
}

// errChanged: a file is not the recorded one. It is left alone.
var errChanged = errors.New("changed since")

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

// setAside renames a failed input to *.failed. It may be repeated, and never replaces or touches another file.
func (f *Folder) setAside(ctx context.Context, r Attachment) error {
	return f.alone(ctx, path.Dir(r.Path), func() error {
		err := f.is(r.Path, r)
		if errors.Is(err, fs.ErrNotExist) && f.is(r.Name(), r) == nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f.move(r.Path, r.Name()); err != nil {
			return err
		}
		return f.sync(path.Dir(r.Path))
	})
}

// restore renames a *.failed back, for another attempt. It may be repeated. If the path is taken again, by whatever, it
// stays so: somebody mended the input.
func (f *Folder) restore(ctx context.Context, r Attachment) error {
	return f.alone(ctx, path.Dir(r.Path), func() error {
		there, err := f.exists(r.Path)
		if err != nil {
			return err
		}
		if there {
			if f.same(r.Path, r.Name()) { // a rename that was cut short
				return f.root.Remove(r.Name())
			}
			return nil
		}
		if err := f.is(r.Name(), r); err != nil {
			return err
		}
		if err := f.move(r.Name(), r.Path); err != nil {
			return err
		}
		return f.sync(path.Dir(r.Path))
	})
}

// removeFailed removes a *.failed if it is the recorded file. fs.ErrNotExist: it is gone already.
func (f *Folder) removeFailed(ctx context.Context, r Attachment) error {
	return f.alone(ctx, path.Dir(r.Name()), func() error {
		if err := f.is(r.Name(), r); err != nil {
			return err
		}
		if err := f.root.Remove(r.Name()); err != nil {
			return err
		}
		return f.sync(path.Dir(r.Name()))
	})
}

// CheckRetry says why an ended job cannot be tried again because of its file: it is gone, or was changed. nil: nothing
// speaks against it; so it is for jobs without a file, and for files on another machine than machine ("": this host).
// The job must have its result with it, as Show gives it.
func CheckRetry(job *holdfast.Info, machine string) error {
	r, ok := AttachmentOf(job)
	if !ok {
		return nil
	}
	if machine == "" {
		machine, _ = os.Hostname()
	}
	if r.Machine != machine {
		return nil
	}
	f, err := OpenFolder(r.Folder, machine)
	if err != nil {
		return fmt.Errorf("%w: job %v cannot be tried again: its file cannot be reached: %w", holdfast.ErrConflict, job.ID, err)
	}
	defer f.Close()
	if err := f.checkRestore(r); err != nil {
		return fmt.Errorf("%w: job %v cannot be tried again: %w", holdfast.ErrConflict, job.ID, err)
	}
	return nil
}

// checkRestore says what restore would, and for people.
func (f *Folder) checkRestore(r Attachment) error {
	if there, err := f.exists(r.Path); err != nil || there {
		return err
	}
	return f.explain(f.is(r.Name(), r), r)
}

// explain adds to an error of restore what a person can do.
func (f *Folder) explain(err error, r Attachment) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("its input is gone: neither %s nor %s is in %s", shown(r.Path), shown(r.Name()), shown(f.name))
	case errors.Is(err, errChanged), errors.Is(err, errNotRegular):
		return fmt.Errorf("%w; if it is the right input, rename it to %s yourself", err, shown(r.Path))
	}
	return err
}

// renamer gives failed inputs their name, once the failure is on disk. It reads the state that the store has, so that
// it does nothing for a job which somebody has reopened meanwhile.
type renamer struct {
	store  holdfast.Store
	folder *Folder
	done   func(job holdfast.Info, r Attachment, err error) // tells of it
	step   func(string) error
}

// settle renames the input of one failed job if that is still to be done. What the file system says against it goes to
// done, what the store says is the error.
func (r *renamer) settle(ctx context.Context, id holdfast.ID) error {
	job, _, err := r.store.Show(ctx, id)
	if errors.Is(err, holdfast.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.settleShown(ctx, job)
}

func (r *renamer) settleShown(ctx context.Context, job holdfast.Info) error {
	record, ok := AttachmentOf(&job)
	if !ok || job.State != holdfast.Failed {
		return nil
	}
	if r.folder.is(record.Path, record) != nil {
		return nil // renamed already, or no longer what failed
	}
	if err := play(r.step, "state recorded"); err != nil {
		return err
	}
	err := r.folder.setAside(ctx, record)
	if stepErr := play(r.step, "renamed"); stepErr != nil {
		return stepErr
	}
	if err == nil {
		// Somebody may have reopened the job between our look and the rename.
		if now, _, showErr := r.store.Show(ctx, job.ID); showErr == nil && now.State != holdfast.Failed {
			return r.folder.restore(ctx, record)
		}
	}
	r.done(job, record, err)
	return nil
}

// play tells a test that a step was made; what the test answers ends the actor there. Outside tests there is none.
func play(step func(string) error, name string) error {
	if step == nil {
		return nil
	}
	return step(name)
}
