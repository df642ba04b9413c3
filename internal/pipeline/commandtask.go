package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/supervise"
)

// task is one attempt of a command: its job, and the files it is given.
type task struct {
	*commander
	job  *holdfast.Job[json.RawMessage]
	path string      // of the job's file, below the primary path; "": the data is in a file of ours
	info fs.FileInfo // of the job's file when the attempt began
	in   string      // below the primary path
	temp string      // where the output is written; "": there is none
	out  string      // where it goes when it is whole; "" again if there was none
}

// begin finds or makes the input and a place for the output.
func (t *task) begin(ctx context.Context) error {
	name := fmt.Sprintf("%v-%d", t.job.ID, t.job.Fence())
	if file, is := fileOf(t.job.Info.Data); is {
		if err := t.takeFile(ctx, file); err != nil {
			return err
		}
	} else {
		dir, err := t.data.room(name)
		if err != nil {
			return err
		}
		t.in = path.Join(dir, "data.json")
		if err := t.folder.write(t.in, 0o600, func(w io.Writer) error { _, err := w.Write(t.job.Info.Data); return err }); err != nil {
			return err
		}
	}
	if t.outs == nil {
		return nil
	}
	t.out = path.Join(t.Out, t.job.ID.String())
	if t.path != "" {
		_, rest, deep := strings.Cut(t.path, "/")
		if !deep {
			rest = t.path
		}
		t.out = path.Join(t.Out, rest)
	}
	dir, err := t.outs.room(name)
	if err != nil {
		return err
	}
	t.temp = path.Join(dir, path.Base(t.out)) // with the same ending: there are tools that go by it
	return nil
}

// fileOf gives the path in a job's data if it may be a file's: one that leads outside the primary path is data like any
// other.
func fileOf(data []byte) (name string, is bool) {
	var file struct {
		Path *string `json:"path"`
	}
	if json.Unmarshal(data, &file) != nil || file.Path == nil || !filepath.IsLocal(filepath.FromSlash(*file.Path)) || *file.Path == "." {
		return "", false
	}
	return *file.Path, true
}

// takeFile looks at the job's file. What can never be processed is failed for good.
func (t *task) takeFile(ctx context.Context, name string) error {
	if err := CheckPath(name); err != nil {
		return holdfast.Permanent(err)
	}
	if t.Out != "" {
		if _, ok := below(t.Out, name); ok || t.folder.inside(t.Out, name) {
			return holdfast.Permanent(fmt.Errorf("%w: path %s is an output of ours, which is never a job", holdfast.ErrInvalid, shown(name)))
		}
	}
	if err := t.files.putBack(ctx, &t.job.Info, name); err != nil {
		return err
	}
	file, info, err := t.folder.open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return holdfast.Permanent(fmt.Errorf("input %s is not there", shown(name)))
	case errors.Is(err, errNotRegular):
		return holdfast.Permanent(fmt.Errorf("input: %w", err))
	case err != nil:
		return t.files.withFile(fmt.Errorf("input: %w", err), name)
	}
	file.Close()
	t.path, t.in, t.info = name, name, info
	return nil
}

// args are the command's, with the files in their places. Their paths are absolute, so that none is taken for an option.
func (t *task) args() []string {
	places := strings.NewReplacer("{in}", t.absolute(t.in))
	if t.temp != "" {
		places = strings.NewReplacer("{in}", t.absolute(t.in), "{out}", t.absolute(t.temp))
	}
	args := []string{t.Command[0]}
	for _, arg := range t.Command[1:] {
		args = append(args, places.Replace(arg))
	}
	return args
}

func (t *task) absolute(name string) string {
	return filepath.Join(t.folder.Name(), filepath.FromSlash(name))
}

// environment is all that the command sees of ours, and of its job.
func (t *task) environment() []string {
	attempts := t.Engine.MaxAttempts
	if t.job.MaxAttempts > 0 {
		attempts = t.job.MaxAttempts
	}
	given := []string{
		"HOLDFAST_JOB_ID=" + t.job.ID.String(),
		"HOLDFAST_QUEUE=" + t.job.Queue,
		"HOLDFAST_ATTEMPT=" + strconv.Itoa(t.job.Attempt),
		"HOLDFAST_ATTEMPTS=" + strconv.Itoa(attempts),
		"HOLDFAST_LEASE=" + holdfast.Lease{Job: t.job.ID, Fence: t.job.Fence()}.String(),
		"HOLDFAST_FENCE=" + strconv.FormatInt(t.job.Fence(), 10),
		"HOLDFAST_IN=" + t.absolute(t.in),
	}
	if t.temp != "" {
		given = append(given, "HOLDFAST_OUT="+t.absolute(t.temp))
	}
	if t.Store != "" {
		given = append(given, "HOLDFAST_STORE="+t.Store)
	}
	return supervise.Environment(t.Env, given...)
}

// finish takes the output of a command that said done, and what else goes with the completion.
func (t *task) finish(ctx context.Context, said *listener) error {
	if err := t.deliver(ctx); err != nil {
		return err
	}
	if t.Then == "" {
		return nil
	}
	next := t.job.Info.Data
	switch {
	case t.out != "":
		var err error
		if next, err = json.Marshal(File{t.out}); err != nil {
			return err
		}
	case said.result != nil:
		next = said.result
	}
	_, err := holdfast.NewQueue[json.RawMessage](t.store, t.Then).In(t.job).Put(ctx, next)
	return err
}

// changed says whether somebody wrote to the input meanwhile, or exchanged it. A command may take its input away.
func (t *task) changed() bool {
	if t.path == "" {
		return false
	}
	now, err := t.folder.regular(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	return err != nil || !os.SameFile(now, t.info) || now.Size() != t.info.Size() || !now.ModTime().Equal(t.info.ModTime())
}

// deliver puts the output into place once it is safe on disk.
func (t *task) deliver(ctx context.Context) error {
	if t.temp == "" {
		return nil
	}
	file, _, err := t.folder.open(t.temp)
	if errors.Is(err, fs.ErrNotExist) {
		if t.asksFor("{out}") {
			return errors.New("exit 0, but nothing was written to {out}")
		}
		t.out = ""
		return nil
	}
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	err = errors.Join(file.Sync(), file.Close())
	if t.changed() {
		return fmt.Errorf("input %s was written to while its output was made", shown(t.path))
	}
	if err == nil {
		err = t.folder.mkdir(path.Dir(t.out), 0o777)
	}
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := t.folder.root.Rename(t.temp, t.out); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return t.folder.sync(path.Dir(t.out))
}

// withFile adds to a failure which input it belongs to.
func (t *task) withFile(err error) error {
	if err == nil || t.path == "" {
		return err
	}
	return holdfast.WithFile(err, t.folder.record(t.path, t.info))
}

// clear removes what is left of the attempt's own files.
func (t *task) clear() {
	name := fmt.Sprintf("%v-%d", t.job.ID, t.job.Fence())
	t.data.clear(name)
	if t.outs != nil {
		t.outs.clear(name)
	}
}
