package power

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// hexed writes text as strace does with -xx.
func hexed(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteString(`\x` + string("0123456789abcdef"[s[i]>>4]) + string("0123456789abcdef"[s[i]&15]))
	}
	return b.String()
}

func TestRecordIsRead(t *testing.T) {
	wal := hexed("/d/jobs.db-wal")
	record := strings.Join([]string{
		`7 open("` + wal + `", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 5<` + wal + `>`,
		`7 pwrite64(5<` + wal + `>, "` + hexed("head") + `", 4, 0) = 4`,
		`7 fsync(5<` + wal + `> <unfinished ...>`,
		`8 write(6<` + hexed("/d/tale") + `>, "` + hexed(`{"N":1,"Word":"try","Call":"put"}`) + `", 33) = 33`,
		`9 pwrite64(5<` + wal + `>, "` + hexed("late") + `", 4, 4) = 4`,
		`7 <... fsync resumed>) = 0`,
		`8 --- SIGURG {si_signo=SIGURG} ---`,
		`8 fsync(4<` + hexed("/d") + `>)    = -1 EIO (Input/output error) (INJECTED)`,
		`8 pwrite64(3<` + hexed("/d/jobs.db-shm") + `>, "\x00", 1, 0) = 1`,
		`8 unlink("` + wal + `") = 0`,
		`7 +++ exited with 0 +++`,
	}, "\n")
	calls, err := parse(strings.NewReader(record))
	if err != nil {
		t.Fatal(err)
	}
	steps, err := timeline(calls, "/d/jobs.db", "/d/tale")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range steps {
		word := s.kind.String()
		if s.failed {
			word += " failed"
		}
		got = append(got, word)
	}
	want := "link, write, said, write, sync, sync of the folder failed, unlink"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
	d := newDisk()
	for i := range steps[:5] {
		d.apply(&steps[i])
	}
	if n := len(d.pending); n != 2 { // the name, and the write that began while the sync ran
		t.Errorf("%d steps are unsure, want 2", n)
	}
}

func TestRecordThatCannotBePlacedIsRefused(t *testing.T) {
	for _, line := range []string{
		`7 write(5<` + hexed("/d/jobs.db") + `>, "` + hexed("x") + `", 1) = 1`,
		`7 fallocate(5<` + hexed("/d/jobs.db") + `>, 0, 0, 4096) = 0`,
		`7 pwrite64(5<` + hexed("/d/jobs.db") + `>, "` + hexed("x") + `", 2, 0) = 2`,
	} {
		calls, err := parse(strings.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		if steps, err := timeline(calls, "/d/jobs.db", "/d/tale"); err == nil {
			t.Errorf("%s became %v", line, steps)
		}
	}
}

// at makes steps that come one after another.
func at(steps ...step) []step {
	for i := range steps {
		steps[i].since, steps[i].until = i+1, i+1
	}
	return steps
}

// left applies steps and gives what a power cut leaves of a file if everything unsure meets one fate; "-" for no file.
func left(steps []step, f fate) string {
	d := newDisk()
	for i := range steps {
		d.apply(&steps[i])
	}
	m := d.image(image{}, func(int, *pending) fate { return f }, rand.New(rand.NewPCG(1, 1)))
	content, there := m["f"]
	if !there {
		return "-"
	}
	return strings.ReplaceAll(string(content), "\x00", "0")
}

func TestDiskIsAsUnhelpfulAsAllowed(t *testing.T) {
	link, name := step{kind: stepLink, name: "f"}, step{kind: stepSyncDir}
	write := func(off int64, text string) step {
		return step{kind: stepWrite, name: "f", off: off, data: []byte(text)}
	}
	cut := func(size int64) step { return step{kind: stepTruncate, name: "f", off: size} }
	sync, failed := step{kind: stepSync, name: "f"}, step{kind: stepSync, name: "f", failed: true}
	unlink := step{kind: stepUnlink, name: "f"}
	for _, c := range []struct {
		name       string
		steps      []step
		gone, kept string
	}{
		{"a name that was not synced", at(link, write(0, "ab"), sync), "-", "ab"},
		{"a name that was", at(link, name, write(0, "ab"), sync), "ab", "ab"},
		{"a write that was not synced", at(link, name, write(0, "ab")), "", "ab"},
		{"one before and one after the sync", at(link, name, write(0, "ab"), sync, write(1, "cd")), "ab", "acd"},
		{"a removal that was not synced", at(link, name, write(0, "ab"), sync, unlink), "ab", "-"},
		{"a new file in the place of one that comes back", at(link, name, write(0, "ab"), sync, unlink, link, write(0, "x"), sync), "ab", "x"},
		{"a cut that was not synced", at(link, name, write(0, "abcd"), sync, cut(1)), "abcd", "a"},
		{"a cut, and a write that was synced with it", at(link, name, write(0, "abcd"), sync, cut(1), write(2, "z"), sync), "a0z", "a0z"},
		{"a sync that failed, and one that did not", at(link, name, write(0, "ab"), failed, write(1, "cd"), sync), "0cd", "acd"},
	} {
		if got := left(c.steps, gone); got != c.gone {
			t.Errorf("%s: all lost leaves %q, want %q", c.name, got, c.gone)
		}
		if got := left(c.steps, kept); got != c.kept {
			t.Errorf("%s: all kept leaves %q, want %q", c.name, got, c.kept)
		}
	}
}

func TestTornWriteLeavesWholeSectors(t *testing.T) {
	old, mixed := strings.Repeat("o", 3*sector), 0
	for seed := range uint64(50) {
		p := pending{step: &step{kind: stepWrite, off: 100, data: []byte(strings.Repeat("n", 2*sector))}}
		got := p.write([]byte(old), torn, rand.New(rand.NewPCG(seed, 1)))
		for at := 0; at < len(got); at += sector {
			part := strings.TrimLeft(string(got[at:at+sector]), "o")
			if part = strings.TrimRight(part, "o"); strings.Contains(part, "o") {
				t.Fatalf("seed %d: the sector at %d is mixed", seed, at)
			}
		}
		if n := strings.Count(string(got), "n"); n > 0 && n < 2*sector {
			mixed++
		}
	}
	if mixed == 0 {
		t.Error("no write was torn")
	}
}
