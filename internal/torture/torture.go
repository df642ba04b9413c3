// Package torture does to a store what the world does: processes that put and take jobs are killed and frozen at bad
// moments, each writes down what it was told, and afterwards the records are compared with what is left.
//
// Run starts the processes: the same program again, with a hidden command that calls Child. The package knows no store;
// whoever calls it says how one is opened.
package torture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfastq/holdfast"
)

// Opener opens the store in a file, and makes it where it is missing.
type Opener func(ctx context.Context, file string) (holdfast.Store, error)

// Config says what Run does. A zero field is its default.
type Config struct {
	// Seed decides what is done to whom and when: the same seed and For give the same faults.
	Seed uint64

	// For is how long faults go on, default 30 s; at most a minute more is taken to let the jobs end and to check.
	For time.Duration

	// Open opens the store. Required.
	Open Opener

	// Command starts a child when its arguments are added: the program, and its hidden command. Required.
	Command []string

	// Dir is where the run has its folder, default the system's for temporary files. The folder is removed at the end
	// unless something is wrong.
	Dir string

	// Producers and Consumers are the numbers of processes, default 2 and 3; there is one manager beside them.
	Producers, Consumers int

	// Kills and Pauses are how many come in a second on average, default 6 and 0.7.
	Kills, Pauses float64

	// Say hears in a few words what goes on. Default: nobody.
	Say func(format string, args ...any)
}

func (c Config) withDefaults() (Config, error) {
	if c.Open == nil || len(c.Command) == 0 {
		return c, errors.New("torture: Config needs Open and Command")
	}
	if c.For == 0 {
		c.For = 30 * time.Second
	}
	if c.Producers == 0 {
		c.Producers = 2
	}
	if c.Consumers == 0 {
		c.Consumers = 3
	}
	if c.Kills == 0 {
		c.Kills = 6
	}
	if c.Pauses == 0 {
		c.Pauses = 0.7
	}
	if c.Say == nil {
		c.Say = func(string, ...any) {}
	}
	switch {
	case c.For < time.Second || c.For > 24*time.Hour:
		return c, fmt.Errorf("%w: for %v, allowed are 1 s to 24 h", holdfast.ErrInvalid, c.For)
	case c.Producers < 1 || c.Producers > 16 || c.Consumers < 1 || c.Consumers > 16:
		return c, fmt.Errorf("%w: %d producers and %d consumers, allowed are 1 to 16 each", holdfast.ErrInvalid, c.Producers, c.Consumers)
	}
	return c, nil
}

// Report is what a run has found. PowerCuts is nil: this harness cuts no power.
type Report struct {
	Seed      uint64  `json:"seed"`
	Seconds   float64 `json:"seconds"`
	Kills     int     `json:"kills"`
	Pauses    int     `json:"pauses"`
	PowerCuts *int    `json:"power_cuts"`

	Put         int `json:"put"`         // jobs whose put was acknowledged, those that other jobs produce included
	Done        int `json:"done"`        // jobs done at the end
	Lost        int `json:"lost"`        // acknowledged, and not there
	Unexpected  int `json:"unexpected"`  // there, and never put like that
	Duplicated  int `json:"duplicated"`  // with more than one recorded outcome
	Redelivered int `json:"redelivered"` // started again after a start that did not end in an outcome
	Unexplained int `json:"unexplained"` // given to another although nothing had happened to the holder
	Stuck       int `json:"stuck"`       // not ended although everything was quiet

	ByKill  int `json:"redelivered_by_kill"`
	ByPause int `json:"redelivered_by_pause"`
	ByStall int `json:"redelivered_by_stall"` // the machine gave the holder no time

	Wrong []string `json:"wrong,omitempty"` // what is wrong, in words: the first few
	Kept  string   `json:"kept,omitempty"`  // the run's folder, if something is wrong
}

// Failed says whether something is wrong.
func (r *Report) Failed() bool {
	return r.Lost+r.Unexpected+r.Duplicated+r.Unexplained+r.Stuck > 0 || len(r.Wrong) > 0
}

// complain keeps the first complaints.
func (r *Report) complain(format string, args ...any) {
	if len(r.Wrong) < 20 {
		r.Wrong = append(r.Wrong, fmt.Sprintf(format, args...))
	}
}

// Run tortures a new store and reports. An error means that it could not be done; what a store does wrong is in the
// report. When ctx ends the children are killed and nothing is left.
func Run(ctx context.Context, c Config) (r Report, err error) {
	if c, err = c.withDefaults(); err != nil {
		return r, err
	}
	dir, err := os.MkdirTemp(c.Dir, "holdfast-torture-")
	if err != nil {
		return r, fmt.Errorf("torture: %w", err)
	}
	defer func() {
		if err == nil && r.Failed() {
			r.Kept = dir
		} else {
			os.RemoveAll(dir)
		}
	}()
	records := filepath.Join(dir, "records")
	if err := os.Mkdir(records, 0o700); err != nil {
		return r, fmt.Errorf("torture: %w", err)
	}
	file := filepath.Join(dir, "torture.db")
	if err := touch(ctx, c.Open, file); err != nil {
		return r, fmt.Errorf("torture: make a store: %w", err)
	}
	plan := newPlan(c)
	r.Seed = c.Seed
	began := time.Now()
	n := newNemesis(c, plan, file, records, &r)
	if err := n.run(ctx); err != nil {
		return r, fmt.Errorf("torture: %w", err)
	}
	r.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
	c.Say("comparing the records of %d processes with the store", n.started)
	return r, check(ctx, c.Open, file, records, n.faults(), &r)
}

func touch(ctx context.Context, open Opener, file string) error {
	s, err := open(ctx, file)
	if err != nil {
		return err
	}
	return s.Close()
}
