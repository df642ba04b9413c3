package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path"
	"time"

	"github.com/holdfastq/holdfast"
)

// Defaults, in one place because the command says them too.
const (
	DefaultQueue     = "files"
	DefaultEvery     = 5 * time.Second
	DefaultHighWater = 100_000
	DefaultOut       = "out"
)

// GenerateConfig says how Generate works. A zero field is its default.
type GenerateConfig struct {
	// Name is the producer's. Two that run at once on one folder need different names; the second of the same is
	// refused. Default "generate".
	Name string

	// Queue is where it puts. Default "files".
	Queue string

	// In is the folder for its files, below the primary path. Default ".": the primary path itself.
	In string

	// Every is the pause between two files. Default 5 s.
	Every time.Duration

	// HighWater pauses the producer above so many waiting jobs of its queue, until half of them are gone. Default
	// 100,000; holdfast.No: never.
	HighWater int

	// Content writes what is in the file of that name. Default: a few lines of words.
	Content func(name string, w io.Writer) error

	// Logger hears what happens. Default slog.Default().
	Logger *slog.Logger

	step func(string) error                // of tests
	made func(path string, id holdfast.ID) // of the demo
}

func (c GenerateConfig) withDefaults() (GenerateConfig, error) {
	c.Name = orDefault(c.Name, "generate")
	c.Queue = orDefault(c.Queue, DefaultQueue)
	c.In = orDefault(c.In, ".")
	c.Every = orDefault(c.Every, DefaultEvery)
	c.HighWater = orDefault(c.HighWater, DefaultHighWater)
	if c.Content == nil {
		c.Content = words
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if err := holdfast.CheckQueueName(c.Queue); err != nil {
		return c, err
	}
	if err := holdfast.CheckQueueName(c.Name); err != nil { // the same letters do for a file's name
		return c, fmt.Errorf("producer name: %w", err)
	}
	if c.Every < 0 {
		return c, fmt.Errorf("%w: every %v is negative", holdfast.ErrInvalid, c.Every)
	}
	if len(c.In)+1+nameLength > holdfast.MaxUniqueKey {
		return c, fmt.Errorf("%w: folder of inputs has %d bytes, at most %d are allowed", holdfast.ErrInvalid, len(c.In), holdfast.MaxUniqueKey-nameLength-1)
	}
	return c, checkFolder("folder of inputs", c.In)
}

const (
	nameLength   = 10              // characters of a made file's name
	finishWithin = 5 * time.Second // after the end was asked for
)

// Generate makes a file every c.Every and puts a job for it, until ctx ends; then it returns nil. Each file gets exactly
// one job, whenever the process ends and whoever goes on; a file that is in the folder for other reasons gets none.
// While disk or store are in trouble it says so and goes on by itself. ErrInvalid: the config is wrong. ErrConflict:
// a producer of this name is at work in the folder. ErrClosed, ErrUnusable, ErrCorrupt: the store cannot go on.
func Generate(ctx context.Context, store holdfast.Store, folder *Folder, c GenerateConfig) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	g := &generator{GenerateConfig: c, store: store, folder: folder}
	unlock, err := g.lock()
	if err != nil {
		return fmt.Errorf("producer %s: %w", c.Name, err)
	}
	defer unlock()
	for pause := time.Duration(0); sleep(ctx, pause); pause = c.Every {
		err := g.turn(ctx)
		if hopeless(err) {
			return fmt.Errorf("producer %s: %w", c.Name, err)
		}
		if err != nil && ctx.Err() == nil {
			c.Logger.Warn("no file made", "producer", c.Name, "error", err, "again_in", c.Every)
		}
	}
	return nil
}

type generator struct {
	GenerateConfig
	store  holdfast.Store
	folder *Folder
	full   bool // above high water
}

// intent is what a producer is about to make: recorded before the first trace of it is on disk, cleared in the step that
// puts the job. So whoever comes next knows of a file without a job, and needs no list of files that had one.
type intent struct {
	File string      `json:"file"` // its name in the folder
	Job  holdfast.ID `json:"job"`  // the same in each try, so that it counts once
}

// lock keeps a second producer of the name away: two would share one intent.
func (g *generator) lock() (unlock func(), err error) {
	if err := g.folder.mkdir(g.In, 0o777); err != nil {
		return nil, err
	}
	name := path.Join(g.In, "."+g.Name+".lock")
	file, err := g.folder.root.OpenFile(name, os.O_RDWR|os.O_CREATE|openFlags, 0o666)
	if err != nil {
		return nil, err
	}
	mine, err := lock(file)
	if err == nil && !mine {
		err = fmt.Errorf("%w: it is at work in %s already, in this process or another; give this one another name", holdfast.ErrConflict, shown(path.Join(g.folder.name, g.In)))
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return func() { file.Close() }, nil
}

// turn finishes what was begun, then makes one file, if the queue is not too long.
func (g *generator) turn(ctx context.Context) error {
	if err := g.resume(ctx); err != nil {
		return err
	}
	if full, err := g.tooMany(ctx); full || err != nil {
		return err
	}
	return g.make(ctx)
}

func (g *generator) make(ctx context.Context) error {
	in := intent{File: randomName(), Job: holdfast.NewID()}
	if there, err := g.folder.exists(g.path(in)); there || err != nil {
		return err // as good as never; the next turn takes another name
	}
	if err := g.keep(ctx, &in); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin) // what is begun is finished
	defer cancel()
	if err := play(g.step, "intent recorded"); err != nil {
		return err
	}
	err := g.folder.write(g.temporary(in), 0o666, func(w io.Writer) error {
		if err := g.Content(in.File, w); err != nil {
			return err
		}
		return play(g.step, "half written")
	})
	if err != nil {
		return err
	}
	if err := play(g.step, "written"); err != nil {
		return err
	}
	if err := g.folder.move(g.temporary(in), g.path(in)); err != nil {
		return err
	}
	if err := play(g.step, "in place"); err != nil {
		return err
	}
	return g.put(ctx, in)
}

// resume does the rest of what a producer of this name, in this process or one before it, began. A file that was not in
// place yet was promised to nobody: it is dropped.
func (g *generator) resume(ctx context.Context) error {
	in, err := g.intent(ctx)
	if err != nil || in == nil {
		return err
	}
	placed, err := g.folder.exists(g.path(*in))
	if err != nil {
		return err
	}
	half, err := g.folder.exists(g.temporary(*in))
	if err != nil {
		return err
	}
	if half {
		placed = placed && g.folder.same(g.path(*in), g.temporary(*in)) // else somebody else's has the name
		if err := g.folder.root.Remove(g.temporary(*in)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if !placed {
		return g.keep(ctx, nil)
	}
	g.Logger.Info("file found without its job", "producer", g.Name, "path", g.path(*in))
	return g.put(ctx, *in)
}

// put makes the name safe, then puts the job and clears the intent in one step.
func (g *generator) put(ctx context.Context, in intent) error {
	if err := g.folder.sync(g.In); err != nil {
		return err
	}
	if err := play(g.step, "folder synced"); err != nil {
		return err
	}
	data, err := json.Marshal(File{g.path(in)})
	if err != nil {
		return err
	}
	job := holdfast.NewJob{ID: in.Job, Queue: g.Queue, Data: data, UniqueKey: g.path(in), OnDuplicate: holdfast.KeepFirst}
	if err := job.Check(); err != nil {
		return err
	}
	made, err := g.store.Insert(ctx, holdfast.Insert{Jobs: []holdfast.NewJob{job}, Marks: []holdfast.Mark{{Name: g.mark()}}})
	if err != nil {
		return err
	}
	if err := made[0].Err; err != nil {
		return err
	}
	if err := play(g.step, "put"); err != nil {
		return err
	}
	g.Logger.Info("file made", "producer", g.Name, "path", g.path(in), "job", made[0].ID)
	if g.made != nil {
		g.made(g.path(in), made[0].ID)
	}
	return nil
}

func (g *generator) path(in intent) string      { return path.Join(g.In, in.File) }
func (g *generator) temporary(in intent) string { return path.Join(g.In, "."+in.File+partial) }

// mark names the intent in the store, which may serve several machines and folders.
func (g *generator) mark() string {
	return fmt.Sprintf("generate:%s:%s:%s", g.folder.machine, path.Join(g.folder.name, g.In), g.Name)
}

// keep records the intent, nil clears it.
func (g *generator) keep(ctx context.Context, in *intent) error {
	m := holdfast.Mark{Name: g.mark()}
	if in != nil {
		value, err := json.Marshal(in)
		if err != nil {
			return err
		}
		m.Value = value
	}
	return g.store.Record(ctx, holdfast.Records{Marks: []holdfast.Mark{m}})
}

func (g *generator) intent(ctx context.Context) (*intent, error) {
	records, err := g.store.Records(ctx, holdfast.RecordsQuery{Marks: []string{g.mark()}})
	if err != nil || len(records.Marks) == 0 || records.Marks[0].Value == nil {
		return nil, err
	}
	var in intent
	if err := json.Unmarshal(records.Marks[0].Value, &in); err != nil || CheckPath(in.File) != nil || path.Base(in.File) != in.File || in.Job.IsZero() {
		return nil, fmt.Errorf("%w: intent %s", holdfast.ErrCorrupt, shown(g.mark()))
	}
	return &in, nil
}

// tooMany says whether the queue is above high water, or was and is not yet down to half of it.
func (g *generator) tooMany(ctx context.Context) (bool, error) {
	if g.HighWater < 0 {
		return false, nil
	}
	counts, err := g.store.Counts(ctx)
	if err != nil {
		return false, err
	}
	waiting := int64(0)
	for _, c := range counts {
		if c.Queue == g.Queue {
			waiting = c.Of(holdfast.Waiting)
		}
	}
	was := g.full
	g.full = waiting > int64(g.HighWater) || was && waiting > int64(g.HighWater/2)
	if g.full != was {
		g.Logger.Info(map[bool]string{true: "producer pauses", false: "producer goes on"}[g.full], "producer", g.Name, "waiting", waiting, "high_water", g.HighWater)
	}
	return g.full, nil
}

// randomName is a name that no other file has: one of 26^10.
func randomName() string {
	var name [nameLength]byte
	for i := range name {
		name[i] = byte('a' + rand.N(26))
	}
	return string(name[:])
}

var vocabulary = []string{"anchor", "beacon", "canvas", "delta", "ember", "fathom", "granite", "harbour", "island", "juniper", "keel", "lantern", "meadow", "north", "orbit", "pebble"}

// words is the default content: a few lines to be transformed.
func words(name string, w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%s\n", name); err != nil {
		return err
	}
	for range 2 + rand.N(4) {
		for i := range 4 + rand.N(4) {
			if i > 0 {
				if _, err := io.WriteString(w, " "); err != nil {
					return err
				}
			}
			if _, err := io.WriteString(w, vocabulary[rand.N(len(vocabulary))]); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(w, "\n"); err != nil {
			return err
		}
	}
	return nil
}

// hopeless says whether waiting mends nothing.
func hopeless(err error) bool {
	return errors.Is(err, holdfast.ErrClosed) || errors.Is(err, holdfast.ErrUnusable) || errors.Is(err, holdfast.ErrCorrupt) || errors.Is(err, errKilled)
}

// sleep waits; false: ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
