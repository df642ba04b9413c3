package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/holdfastq/holdfast"
)

// CleanConfig says how Clean works. A zero field is its default.
type CleanConfig struct {
	// Queues are those whose jobs are files in the folder. Default "files".
	Queues []string

	// Outs are the folders of outputs in which what a dead attempt was writing is removed. Default "out".
	Outs []string

	// Every is how often it looks. Default 30 s.
	Every time.Duration

	// Keep is how long a failed job is kept with its file, and can be retried: default 30 days; holdfast.No: until the
	// first look after 10 minutes, which is also the least; holdfast.Forever: until somebody deletes it.
	Keep time.Duration

	// Logger hears what happens. Default slog.Default().
	Logger *slog.Logger

	step func(string) error       // of tests
	told func(string, Attachment) // of the demo: an input was renamed
}

// DefaultCleanEvery is CleanConfig.Every when it is not set.
const DefaultCleanEvery = 30 * time.Second

func (c CleanConfig) withDefaults() (CleanConfig, error) {
	if len(c.Queues) == 0 {
		c.Queues = []string{DefaultQueue}
	}
	if len(c.Outs) == 0 {
		c.Outs = []string{DefaultOut}
	}
	c.Every = orDefault(c.Every, DefaultCleanEvery)
	c.Keep = max(orDefault(c.Keep, holdfast.DefaultRetention.Failed), holdfast.MinKept)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	for _, q := range c.Queues {
		if err := holdfast.CheckQueueName(q); err != nil {
			return c, err
		}
	}
	for _, out := range c.Outs {
		if err := checkFolder("folder of outputs", out); err != nil {
			return c, err
		}
	}
	if c.Every < 0 {
		return c, fmt.Errorf("%w: every %v is negative", holdfast.ErrInvalid, c.Every)
	}
	return c, nil
}

// Clean looks every c.Every, until ctx ends, after the failed jobs that have a file, which the store's own cleaner leaves
// alone: it renames what a consumer that died could not rename, and removes a job that was kept long enough together
// with its *.failed, the file first. A file is touched only if it has the path, the size and the time that are recorded
// with its job; nothing is ever removed for its name. Any number of processes may do the same. It returns nil when ctx
// has ended. ErrInvalid: the config is wrong. ErrClosed, ErrUnusable, ErrCorrupt: the store cannot go on.
func Clean(ctx context.Context, store holdfast.Store, folder *Folder, c CleanConfig) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	cl := newCleaner(store, folder, c)
	for pause := rand.N(c.Every); sleep(ctx, pause); pause = c.Every { // many processes do not look at once
		err := cl.look(ctx)
		if hopeless(err) {
			return fmt.Errorf("cleaner of files: %w", err)
		}
		if err != nil && ctx.Err() == nil {
			c.Logger.Warn("cleaner of files", "error", err)
		}
	}
	return nil
}

// CleanOnce is one look of Clean. It says how many jobs it removed.
func CleanOnce(ctx context.Context, store holdfast.Store, folder *Folder, c CleanConfig) (int, error) {
	c, err := c.withDefaults()
	if err != nil {
		return 0, err
	}
	cl := newCleaner(store, folder, c)
	err = cl.look(ctx)
	return cl.removed, err
}

type cleaner struct {
	CleanConfig
	store    holdfast.Store
	folder   *Folder
	operator *holdfast.Operator
	renamer  renamer
	full     time.Time // of the last look at all failed jobs
	many     bool      // it was a long one
	removed  int
	refused  map[holdfast.ID]bool // whose input cannot be renamed: said once
}

// A look at all failed jobs reads each of them. Once they are more than manyFailed it is made every seldom.
const (
	manyFailed = 2_000
	seldom     = 10 * time.Minute
)

func newCleaner(store holdfast.Store, folder *Folder, c CleanConfig) *cleaner {
	cl := &cleaner{CleanConfig: c, store: store, folder: folder, operator: holdfast.NewOperator(store, "cleaner").Via("pipeline"), refused: map[holdfast.ID]bool{}}
	cl.renamer = renamer{store: store, folder: folder, step: c.step, done: cl.renamed}
	return cl
}

func (c *cleaner) renamed(job holdfast.Info, r Attachment, err error) {
	if c.refused[job.ID] {
		return
	}
	if err != nil {
		c.refused[job.ID] = true
	}
	tell(c.Logger, job, r, err)
	if c.told != nil && err == nil {
		c.told(job.ID.String(), r)
	}
}

// look does what is to be done now. One job's trouble keeps nobody else's from being done.
func (c *cleaner) look(ctx context.Context) error {
	var errs []error
	if !c.many || time.Since(c.full) >= seldom {
		n := 0
		errs = append(errs, c.each(ctx, holdfast.Filter{States: []holdfast.State{holdfast.Failed}}, func(job holdfast.Info) error {
			n++
			return c.renamer.settleShown(ctx, job)
		}))
		c.full, c.many = time.Now(), n > manyFailed
	}
	if c.Keep != holdfast.Forever {
		old := holdfast.Filter{States: []holdfast.State{holdfast.Failed, holdfast.Cancelled}, EndedBefore: time.Now().Add(-c.Keep)}
		errs = append(errs, c.each(ctx, old, func(job holdfast.Info) error { return c.expire(ctx, job) }))
	}
	for _, out := range c.Outs {
		errs = append(errs, c.abandoned(ctx, out))
	}
	return errors.Join(errs...)
}

// each visits the jobs of our queues that have a file.
func (c *cleaner) each(ctx context.Context, f holdfast.Filter, visit func(holdfast.Info) error) error {
	f.Attached, f.Queues = true, c.Queues
	list := holdfast.List{Filter: f, Data: true, Limit: 100}
	var errs []error
	for {
		page, err := c.store.List(ctx, list)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, job := range page.Jobs {
			if err := visit(job); err != nil {
				if ctx.Err() != nil || hopeless(err) {
					return err
				}
				if len(errs) < 10 {
					errs = append(errs, fmt.Errorf("job %v: %w", job.ID, err))
				}
			}
		}
		if page.Next == "" {
			return errors.Join(errs...)
		}
		list.After = page.Next
	}
}

// expire removes a job that was kept long enough, its file first: a crash between leaves a job whose file is gone, which
// the next look removes. The other way round it would leave a file that nobody knows.
func (c *cleaner) expire(ctx context.Context, job holdfast.Info) error {
	record, ok := AttachmentOf(&job)
	if !ok {
		return nil // another program's file
	}
	// A person may have retried the job since the page was read. From here to the removal are microseconds; a retry
	// within them fails for good, with the reason that its input is gone.
	now, _, err := c.store.Show(ctx, job.ID)
	if errors.Is(err, holdfast.ErrNotFound) || err == nil && (now.State != job.State || !now.EndedAt.Equal(job.EndedAt)) {
		return nil
	}
	if err != nil {
		return err
	}
	err = c.folder.removeFailed(ctx, record)
	switch {
	case err == nil:
		if err := play(c.step, "file removed"); err != nil {
			return err
		}
	case errors.Is(err, fs.ErrNotExist):
		if !c.folder.ours(record) {
			return nil // it may be where it failed: the cleaner of that folder looks after it
		}
	case errors.Is(err, errChanged), errors.Is(err, errNotRegular):
		c.Logger.Warn("failed job removed without its file, which is another one by now", "path", record.Name(), "job", job.ID, "error", err)
	default:
		return err
	}
	n, err := c.operator.Delete(ctx, holdfast.Filter{IDs: []holdfast.ID{job.ID}, States: []holdfast.State{job.State}, EndedBefore: time.Now().Add(-c.Keep)})
	if err != nil && !errors.Is(err, holdfast.ErrNotFound) {
		return err
	}
	if n > 0 {
		c.removed++
		c.Logger.Info("failed job removed with its file", "path", record.Name(), "job", job.ID)
	}
	return nil
}

// abandoned removes what attempts were writing when they ended without a word: their names say which job and which
// delivery, and the store says that this delivery is over.
func (c *cleaner) abandoned(ctx context.Context, out string) error {
	dir := path.Join(out, partial)
	d, err := c.folder.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	entries, err := d.ReadDir(1_000)
	if len(entries) == 0 {
		return nil // also the end of the folder, which is an error to ReadDir
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		id, fence, _ := strings.Cut(e.Name(), "-")
		job, err := holdfast.ParseID(id)
		n, numErr := strconv.ParseInt(fence, 10, 64)
		if err != nil || numErr != nil {
			continue // none of ours
		}
		info, _, err := c.store.Show(ctx, job)
		if err != nil && !errors.Is(err, holdfast.ErrNotFound) {
			return err
		}
		name := path.Join(dir, e.Name())
		if err == nil && info.State == holdfast.Running && info.Fence == n {
			continue
		}
		if _, err := c.folder.regular(name); err != nil {
			continue
		}
		if err := c.folder.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		c.Logger.Info("half-written output of a dead attempt removed", "path", name, "job", job)
	}
	return nil
}
