// Package config reads what people set: a file, the environment and flags, into plain structs of which each value knows
// where it came from. It is strict: whatever it does not understand is an error that shows the place and the remedy.
package config

import (
	"time"

	"github.com/holdfastq/holdfast"
)

// Config is everything that can be set. Its fields are filled in: a zero here was said by somebody.
type Config struct {
	Store    string // a file, or a URL
	General  General
	Producer Producer
	Consumer Consumer
	Manager  Manager
	Cleaner  Cleaner
	Serve    Serve
	Queues   map[string]holdfast.Retention // whole, for the queues that have their own; zero means gone at the first look
	Workers  []Worker                      // in the file's order

	file    string // that was read, "" if none was
	origins map[string]Origin
}

// General is what all parts of Holdfast share.
type General struct {
	PrimaryPath string
	Machine     string // "": the host's name
}

// Producer is how a producer works.
type Producer struct {
	Queue     string
	Every     time.Duration
	HighWater int // 0: never pauses
}

// Consumer is how a consumer works. The names of the first three are the seeds'.
type Consumer struct {
	Queue       string
	NTime       time.Duration // the longest time of one attempt
	NTries      int
	NCrashes    int // 0: no limit
	Concurrency int
	Pace        Range
	Backoff     Range
	Lease       time.Duration
	Grace       time.Duration
}

// Manager is how often leases of dead consumers are looked for.
type Manager struct{ Every time.Duration }

// Cleaner is how long ended jobs are kept.
type Cleaner struct {
	Every time.Duration
	Keep  holdfast.Retention // as a store has it: zero means gone at the first look, for Jobs no bound
}

// Serve is how the server answers.
type Serve struct {
	Listen      string // host:port
	TLS         TLS
	BehindProxy bool
	Hosts       []string
	ConfigDirs  []string // absolute
	Logs        int64    // bytes
}

// TLS names two files, or none.
type TLS struct{ Cert, Key string }

// Worker is a producer or consumer with a name. What the file does not say of it comes from the sections of its role.
type Worker struct {
	Name     string
	Producer string // generate, watch or command; "": it is a consumer
	Consumer string // transform or command; "": it is a producer

	Producing Producer // of a producer
	Consuming Consumer // of a consumer

	Dir     string   // below the primary path: where a producer's files are, or a consumer's outputs go
	Pattern string   // of the names that a watch takes
	Command []string // argv; no shell ever sees it
	Then    string   // the queue of the next step, "" if there is none
	Start   bool     // when serve starts
	Env     []string // names of variables that its command gets
	Mode    string   // ModeJob or ModeLines
}

// Modes of a consumer's command.
const (
	ModeJob   = "job"   // one process for each job
	ModeLines = "lines" // one process that stays, with one line of JSON for each job
)

// Queue is where the worker puts or takes.
func (w *Worker) Queue() string {
	if w.Producer != "" {
		return w.Producing.Queue
	}
	return w.Consuming.Queue
}

// Defaults is the Config of somebody who says nothing.
func Defaults() *Config {
	return &Config{
		Store:    "holdfast.db",
		General:  General{PrimaryPath: "."},
		Producer: Producer{Queue: "files", Every: 5 * time.Second, HighWater: 100_000},
		Consumer: Consumer{
			Queue: "files", NTime: holdfast.DefaultMaxRun, NTries: 3, NCrashes: holdfast.DefaultMaxCrashes, Concurrency: 1,
			Backoff: Range{time.Second, 10 * time.Minute}, Lease: holdfast.DefaultLease, Grace: holdfast.DefaultGrace,
		},
		Manager: Manager{Every: holdfast.DefaultSweepEvery},
		Cleaner: Cleaner{Every: holdfast.DefaultPurgeEvery, Keep: holdfast.DefaultRetention},
		Serve:   Serve{Listen: "127.0.0.1:8000", Logs: 500_000_000},
		origins: map[string]Origin{},
	}
}

// DefaultProducer is the worker that a producer's name stands for when the file has none of it.
func (c *Config) DefaultProducer(name string) Worker {
	return Worker{Name: name, Producer: "generate", Producing: c.Producer, Dir: ".", Start: true}
}

// DefaultConsumer is the worker that a consumer's name stands for when the file has none of it.
func (c *Config) DefaultConsumer(name string) Worker {
	return Worker{Name: name, Consumer: "transform", Consuming: c.Consumer, Dir: "out", Start: true, Mode: ModeJob}
}

// Worker gives the file's worker of a name.
func (c *Config) Worker(name string) (Worker, bool) {
	for _, w := range c.Workers {
		if w.Name == name {
			return w, true
		}
	}
	return Worker{}, false
}

// File is the name of the file that was read, "" if there was none.
func (c *Config) File() string { return c.file }

// Engine is what the library needs to know to work as a consumer, with manager and cleaner. There zero stands for a
// default and none has a word of its own; here zero is zero.
func (c *Config) Engine(w Consumer) holdfast.Config {
	queues := make(map[string]holdfast.Retention, len(c.Queues))
	for name, keep := range c.Queues {
		queues[name] = spelt(keep)
	}
	return holdfast.Config{
		Concurrency: w.Concurrency, Lease: w.Lease, Grace: orNo(w.Grace), MaxRun: w.NTime,
		MaxAttempts: w.NTries, MaxCrashes: orNo(w.NCrashes),
		Backoff: holdfast.Backoff(w.Backoff.Least, w.Backoff.Most), Pace: w.Pace.Pick,
		Keep: spelt(c.Cleaner.Keep), KeepQueue: queues, SweepEvery: c.Manager.Every, PurgeEvery: c.Cleaner.Every,
	}
}

func spelt(r holdfast.Retention) holdfast.Retention {
	return holdfast.Retention{Done: orNo(r.Done), Cancelled: orNo(r.Cancelled), Failed: orNo(r.Failed), Jobs: orNo(r.Jobs)}
}

func orNo[T int | time.Duration](n T) T {
	if n == 0 {
		return holdfast.No
	}
	return n
}
