package power

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// cuts tries power cuts along one recorded life.
type cuts struct {
	name  string
	seed  uint64
	read  func(*view) (*rows, error)
	want  int                            // states to try
	opens int                            // of these, to be opened as a store too; 0: none
	open  func(image, *snapshot) []wrong // opens a state as a store and uses it
	only  string                         // try only this state

	*scratch
	disk     *disk
	ledger   *ledger
	moments  []snapshot
	byPages  map[uint64]int // snapshots
	byImage  map[uint64]*tried
	required int           // the snapshot that a power cut must not go behind, given what was answered
	triedAt  map[int64]int // by number of a call: the latest snapshot when it began
	whole    image         // what a process sees now
	buffer   image

	report
}

// snapshot is what the store holds after one of its commits.
type snapshot struct {
	pages, contents uint64
	rows            *rows
}

// tried is an image that was recovered before.
type tried struct {
	at       int // the snapshot that it is
	required int // the snapshot that it had to be at least
}

// report is what came of the cuts of one history, or of many.
type report struct {
	States                    int // moments and what a power cut left then
	Recovered                 int // of these, files that were not seen before in this history: SQLite recovered them
	Opened                    int // of these, opened as a store
	Commits                   int
	Lost, Corrupt, Unexpected int
	found                     []finding
}

type finding struct {
	history, state string
	wrong
}

func (r *report) add(o *report) {
	r.States += o.States
	r.Recovered += o.Recovered
	r.Opened += o.Opened
	r.Commits += o.Commits
	r.Lost += o.Lost
	r.Corrupt += o.Corrupt
	r.Unexpected += o.Unexpected
	r.found = append(r.found, o.found...)
}

func (c *cuts) blame(state string, all ...wrong) {
	for _, w := range all {
		switch w.sort {
		case lost:
			c.Lost++
		case corrupt:
			c.Corrupt++
		default:
			c.Unexpected++
		}
		if len(c.found) < 20 {
			c.found = append(c.found, finding{c.name, state, w})
		}
	}
}

// run walks along the steps of a life and pulls the plug after each: once so that all that is unsure is lost, then so
// that its parts are there at random. Every state is laid out, opened by SQLite and compared with what the store held
// after each of its commits: it must be one of these exactly, and none from before an answer.
func (c *cuts) run(timeline []step) (err error) {
	if c.scratch, err = newScratch(); err != nil {
		return err
	}
	defer c.scratch.remove()
	c.disk, c.ledger = newDisk(), newLedger()
	c.byPages, c.byImage, c.triedAt = map[uint64]int{}, map[uint64]*tried{}, map[int64]int{}
	c.whole, c.buffer = image{}, image{}
	if err := c.look(0); err != nil {
		return err
	}
	perPoint := 1.01 * float64(c.want) / float64(max(count(timeline), 1)) // the last points may have too few fates
	owed := 0.0
	for i := range timeline {
		s, point := &timeline[i], i+1
		if s.kind == stepSaid {
			c.hear(point, *s.said)
			continue
		}
		c.disk.apply(s)
		before := c.States
		if err := c.look(point); err != nil {
			return err
		}
		if c.only != "" {
			var number int
			if _, err := fmt.Sscanf(c.only, strconv.Itoa(point)+"/%d", &number); err == nil {
				if err := c.cut(point, number); err != nil {
					return err
				}
			}
			continue
		}
		if err := c.cut(point, 0); err != nil {
			return err
		}
		// Few steps pending have few fates: what one point cannot give, the next ones owe.
		owed += perPoint
		for try := 1; float64(c.States-before) < owed && try <= 4*int(owed)+4 && c.unsure(); try++ {
			if err := c.cut(point, try); err != nil {
				return err
			}
		}
		owed -= float64(c.States - before)
	}
	c.Commits = len(c.moments) - 1
	return nil
}

// count is the number of points of a life.
func count(timeline []step) (n int) {
	for i := range timeline {
		if timeline[i].kind != stepSaid {
			n++
		}
	}
	return n
}

func (c *cuts) unsure() bool {
	for _, p := range c.disk.pending {
		if !p.safe {
			return true
		}
	}
	return false
}

// look takes a snapshot if the store has committed something: it looks at what a process sees, all writes done. That is
// also what is left when the process is killed here.
func (c *cuts) look(point int) error {
	c.whole = c.disk.image(c.whole, func(int, *pending) fate { return kept }, nil)
	sum := c.whole.sum()
	if _, known := c.byImage[sum]; known {
		return nil
	}
	c.States++
	c.Recovered++
	if err := c.lay(c.whole); err != nil {
		return err
	}
	v, err := look(c.path())
	if err != nil {
		return err
	}
	defer v.close()
	name := fmt.Sprintf("%d/whole", point)
	pages, err := v.pages()
	if err != nil {
		c.blame(name, wrong{corrupt, err.Error()})
		return nil
	}
	latest := len(c.moments) - 1
	if at, known := c.byPages[pages]; known {
		c.byImage[sum] = &tried{at, c.required}
		if at < c.required { // less far back is a commit that failed, was not answered, and was undone
			c.blame(name, wrong{lost, fmt.Sprintf("the store fell back from commit %d to %d, and commit %d was answered", latest, at, c.required)})
		}
		return nil
	}
	contents, err := v.contents()
	if err != nil {
		c.blame(name, wrong{corrupt, err.Error()})
		return nil
	}
	if latest >= 0 && c.moments[latest].contents == contents {
		c.byPages[pages], c.byImage[sum] = latest, &tried{latest, c.required} // same rows in other pages: not a commit of ours
		return nil
	}
	m := snapshot{pages: pages, contents: contents}
	if m.rows, err = c.read(v); err != nil {
		c.blame(name, wrong{corrupt, err.Error()})
		return nil
	}
	if damage := v.damage("integrity_check"); damage != "" {
		c.blame(name, wrong{corrupt, damage})
	}
	c.blame(name, c.ledger.check(m.rows)...)
	c.moments = append(c.moments, m)
	c.byPages[pages], c.byImage[sum] = len(c.moments)-1, &tried{len(c.moments) - 1, c.required}
	return nil
}

// hear takes in what the child said. From an answer on, a power cut may not go behind the commit that it tells of.
func (c *cuts) hear(point int, s said) {
	if s.Word == "try" {
		c.triedAt[s.N] = len(c.moments) - 1
	}
	for _, f := range c.ledger.hear(s) {
		at := max(c.triedAt[f.try], 0)
		for at < len(c.moments) && !f.now(c.moments[at].rows) {
			at++
		}
		if at == len(c.moments) {
			c.blame(fmt.Sprintf("%d/whole", point), wrong{lost, fmt.Sprintf("call %d was answered, and job %s is not %s", f.try, f.job, f.what)})
			continue
		}
		c.required = max(c.required, at)
	}
}

// cut pulls the plug once. Number 0 of a point loses all that is unsure. Files that were recovered before are only held
// against what was answered since.
func (c *cuts) cut(point, number int) error {
	name := fmt.Sprintf("%d/%d", point, number)
	rng := rand.New(rand.NewPCG(c.seed, uint64(point)<<20|uint64(number)))
	choose := func(int, *pending) fate { return gone }
	if number > 0 {
		choose = plan(rng, len(c.disk.pending))
	}
	c.buffer = c.disk.image(c.buffer, choose, rng)
	sum := c.buffer.sum()
	was := c.byImage[sum]
	fresh := was == nil
	if fresh {
		c.Recovered++
		at, bad, err := c.find(c.buffer)
		if err != nil {
			return err
		}
		if bad != nil {
			c.States++
			c.blame(name, *bad)
			return nil
		}
		was = &tried{at, -1}
		c.byImage[sum] = was
	}
	if was.required == c.required {
		return nil // the same files, and nothing was answered since
	}
	was.required = c.required
	c.States++
	if was.at < c.required {
		c.blame(name, wrong{lost, fmt.Sprintf("what was left is commit %d, and commit %d was answered: %s", was.at, c.required, c.missing(was.at))})
	}
	if fresh && c.opens > 0 && c.Recovered >= (c.Opened+1)*c.opens {
		c.Opened++
		c.blame(name, c.open(c.buffer, &c.moments[was.at])...)
	}
	return nil
}

// missing names what was answered and is not in a snapshot.
func (c *cuts) missing(at int) string {
	for _, f := range c.ledger.facts {
		if !f.now(c.moments[at].rows) && c.triedAt[f.try] >= at {
			return fmt.Sprintf("call %d, job %s %s", f.try, f.job, f.what)
		}
	}
	return "what a later call answered"
}

// find opens an image and says which snapshot it is.
func (c *cuts) find(m image) (at int, bad *wrong, err error) {
	if err := c.lay(m); err != nil {
		return 0, nil, err
	}
	v, err := look(c.path())
	if err != nil {
		return 0, &wrong{corrupt, err.Error()}, nil
	}
	defer v.close()
	pages, err := v.pages()
	if err == nil {
		if at, known := c.byPages[pages]; known {
			return at, nil, nil
		}
	}
	if damage := v.damage("quick_check"); damage != "" {
		return 0, &wrong{corrupt, damage}, nil
	}
	contents, err2 := v.contents()
	if err := errors.Join(err, err2); err != nil {
		return 0, &wrong{corrupt, err.Error()}, nil
	}
	for at := range c.moments {
		if c.moments[at].contents == contents {
			c.byPages[pages] = at
			return at, nil, nil
		}
	}
	return 0, &wrong{unexpected, "what was left is none of the states that a commit made"}, nil
}

// plan draws how a power cut treats what is unsure: all up to some step, which is torn; a random part of the steps; or
// each step a fate of its own. Names are lost more often than not, since nothing else needs them so.
func plan(rng *rand.Rand, n int) func(int, *pending) fate {
	names := rng.IntN(3)
	part := [...]float64{.1, .5, .9}[rng.IntN(3)]
	edge := rng.IntN(n + 1)
	way := rng.IntN(4)
	return func(i int, p *pending) fate {
		if p.folder() && names == 0 {
			return gone
		}
		var f fate
		switch way {
		case 0:
			f = gone
			if i < edge {
				f = kept
			} else if i == edge {
				f = torn
			}
		case 1:
			f = gone
			if rng.Float64() < part {
				f = kept
			}
		case 2:
			f = fate(rng.IntN(3))
		default:
			f = fate(rng.IntN(4))
		}
		if p.folder() && f != gone {
			f = kept
		}
		return f
	}
}
