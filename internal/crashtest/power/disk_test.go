package power

import (
	"hash/maphash"
	"maps"
	"math/rand/v2"
	"slices"
)

// sector is what a disk writes as one, so that a power cut leaves it old or new.
const sector = 512

// disk is a file system in the middle of a life: what is surely on it, and what may or may not be.
//
// It is as unhelpful as POSIX allows: what was written since the last fsync of its file may be there in any part and
// order, a name may be missing or back again until its folder was synced, even if its file was, and what a failed fsync
// did not write may never come, however many succeed later.
type disk struct {
	names   map[string]int // of files that are surely there
	files   [][]byte       // what is surely in them, by number
	live    map[string]int // what a process sees
	pending []*pending     // in the order of the calls
}

// pending is a step that no sync has vouched for, or that comes after one.
type pending struct {
	*step
	file int  // number
	safe bool // it is on disk, but something before it may not be
	lost bool // a sync of it failed: no other vouches for it
}

// folder says whether it changes names and not contents.
func (p *pending) folder() bool { return p.kind >= stepLink && p.kind <= stepRename }

func newDisk() *disk { return &disk{names: map[string]int{}, live: map[string]int{}} }

// apply lets a step happen.
func (d *disk) apply(s *step) {
	switch s.kind {
	case stepLink:
		if _, there := d.live[s.name]; there {
			return // it was opened
		}
		d.files = append(d.files, nil)
		d.live[s.name] = len(d.files) - 1
		d.add(s, len(d.files)-1)
	case stepUnlink:
		d.add(s, -1)
		delete(d.live, s.name)
	case stepRename:
		file := d.live[s.name]
		d.add(s, file)
		delete(d.live, s.name)
		d.live[string(s.data)] = file
	case stepWrite, stepTruncate:
		if file, there := d.live[s.name]; there {
			d.add(s, file)
		}
	case stepSync:
		if file, there := d.live[s.name]; there {
			d.sync(s, func(p *pending) bool { return !p.folder() && p.file == file })
		}
	case stepSyncDir:
		d.sync(s, (*pending).folder)
	}
}

func (d *disk) add(s *step, file int) { d.pending = append(d.pending, &pending{step: s, file: file}) }

// sync vouches for what had ended before it began, and if it failed, for nothing that had begun before it ended, ever.
func (d *disk) sync(s *step, covers func(*pending) bool) {
	for _, p := range d.pending {
		if covers(p) && !p.lost && p.until < s.since && !s.failed {
			p.safe = true
		}
		if covers(p) && !p.safe && s.failed && !p.folder() {
			p.lost = true
		}
	}
	d.fold()
}

// fold makes what is safe part of the surely written, unless something unsure comes before it in the same place.
func (d *disk) fold() {
	unsure := map[int]bool{}
	const names = -1 // the folder's place
	d.pending = slices.DeleteFunc(d.pending, func(p *pending) bool {
		place := p.file
		if p.folder() {
			place = names
		}
		if !p.safe || unsure[place] {
			unsure[place] = true
			return false
		}
		if p.folder() {
			p.rename(d.names)
		} else {
			d.files[p.file] = p.write(d.files[p.file], kept, nil)
		}
		return true
	})
}

// fate is what a power cut makes of a pending step.
type fate uint8

const (
	gone  fate = iota // as if it never was
	kept              // whole
	torn              // some of its sectors
	grown             // the file has its new length, its new part is zeros, its old part is old
)

// rename does a step to the names.
func (p *pending) rename(names map[string]int) {
	switch p.kind {
	case stepLink:
		names[p.name] = p.file
	case stepUnlink:
		delete(names, p.name)
	case stepRename:
		delete(names, p.name)
		names[string(p.data)] = p.file
	}
}

// write does a step to a content.
func (p *pending) write(content []byte, f fate, rng *rand.Rand) []byte {
	if p.kind == stepTruncate {
		if f == gone {
			return content
		}
		return resize(content, int(p.off))
	}
	end := int(p.off) + len(p.data)
	switch f {
	case kept:
		content = resize(content, max(len(content), end))
		copy(content[p.off:], p.data)
	case grown:
		content = resize(content, max(len(content), end))
	case torn:
		for at := int(p.off); at < end; {
			next := min(at/sector*sector+sector, end)
			if rng.Uint32()&1 == 1 {
				content = resize(content, max(len(content), next))
				copy(content[at:next], p.data[at-int(p.off):])
			}
			at = next
		}
	}
	return content
}

// resize cuts a content or fills it up with zeros.
func resize(content []byte, size int) []byte {
	if size <= len(content) {
		return content[:size]
	}
	old := len(content)
	content = slices.Grow(content, size-old)[:size]
	clear(content[old:])
	return content
}

// image is what a power cut leaves.
type image map[string][]byte

// image fills into with the files that are left if each pending step meets its fate, and reuses the memory there.
func (d *disk) image(into image, choose func(i int, p *pending) fate, rng *rand.Rand) image {
	names := maps.Clone(d.names)
	fates := make([]fate, len(d.pending))
	for i, p := range d.pending {
		fates[i] = kept
		if !p.safe {
			fates[i] = choose(i, p)
		}
		if p.folder() && fates[i] != gone {
			p.rename(names)
		}
	}
	for name := range into {
		if _, there := names[name]; !there {
			delete(into, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		file := names[name]
		content := append(into[name][:0], d.files[file]...)
		for i, p := range d.pending {
			if !p.folder() && p.file == file {
				content = p.write(content, fates[i], rng)
			}
		}
		into[name] = content
	}
	return into
}

var imageSeed = maphash.MakeSeed()

// sum tells images apart.
func (m image) sum() uint64 {
	var h maphash.Hash
	h.SetSeed(imageSeed)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		maphash.WriteComparable(&h, name)
		maphash.WriteComparable(&h, len(m[name]))
		h.Write(m[name])
	}
	return h.Sum64()
}
