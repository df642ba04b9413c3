package holdfast

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestIDsReadBackAndAreUnique(t *testing.T) {
	seen := map[ID]bool{}
	for range 1000 {
		id := NewID()
		if seen[id] {
			t.Fatalf("%v twice", id)
		}
		seen[id] = true
		text := id.String()
		back, err := ParseID(text)
		if len(text) != 26 || back != id || err != nil {
			t.Fatalf("%s: got %v, %v, want %v", text, back, err, id)
		}
		if id[6]>>4 != 7 || id[8]>>6 != 2 {
			t.Fatalf("%x is no UUIDv7", id[:])
		}
	}
}

func TestHostileIDsAndLeasesAreRefused(t *testing.T) {
	good := NewID().String()
	for _, text := range []string{"", "x", good[:25], good + "0", "8" + good[1:], good[:25] + "U", good[:25] + "é", "../../etc/passwd0000000000", "\x1b[31m" + good} {
		if _, err := ParseID(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("id %q: got %v, want ErrInvalid", text, err)
		}
	}
	for _, text := range []string{"", good, good + "_", good + "_0", good + "_-1", good + "_01", good + "_+1", good + "_1_1", "_1", good + "_99999999999999999999"} {
		if _, err := ParseLease(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("lease %q: got %v, want ErrInvalid", text, err)
		}
	}
	lease := Lease{NewID(), 1 << 40}
	if back, err := ParseLease(lease.String()); back != lease || err != nil {
		t.Errorf("lease: got %v, %v, want %v", back, err, lease)
	}
}

func TestHistogramQuantilesAreWithinAFifth(t *testing.T) {
	var h Histogram
	for i := 1; i <= 10_000; i++ {
		h.Add(time.Duration(i) * time.Millisecond)
	}
	for _, q := range []float64{0.5, 0.95, 0.99, 1} {
		want := time.Duration(q*10_000) * time.Millisecond
		if got := h.Quantile(q); got < want*4/5 || got > want*6/5 {
			t.Errorf("p%v: got %v, want about %v", q*100, got, want)
		}
	}
	packed, err := h.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var back Histogram
	if err := back.UnmarshalBinary(packed); err != nil || !slices.Equal(back, h) {
		t.Errorf("read back: got %v, %v, want %v", back, err, h)
	}
	for _, bad := range [][]byte{{1}, {0, 1}, {255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 1}, {250, 1, 1}} {
		if err := new(Histogram).UnmarshalBinary(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v: got %v, want ErrCorrupt", bad, err)
		}
	}
}

func TestBucketsCoverEveryDuration(t *testing.T) {
	last := -1
	for d := time.Duration(0); d < 100*24*time.Hour; d = d*11/10 + 1 {
		b := bucket(d)
		if b < last || b >= buckets {
			t.Fatalf("%v is in bucket %d after %d", d, b, last)
		}
		if b < buckets-1 && (d < bucketFloor(b) || d >= bucketFloor(b+1)+time.Microsecond) {
			t.Fatalf("%v is in bucket %d: %v to %v", d, b, bucketFloor(b), bucketFloor(b+1))
		}
		last = b
	}
	if bucket(-time.Second) != 0 || bucket(1<<62) != buckets-1 {
		t.Error("durations out of range are not at the edges")
	}
}

func TestCausesJoinWhatDiffersOnlyInNumbersAndNames(t *testing.T) {
	same := [][2]string{
		{"open /tmp/a1.txt: no such file", "open /var/b2.txt: no such file"},
		{"job 12345 timed out after 30s", "job 98765 timed out after 31s"},
		{`unknown word "abc"`, `unknown word "xyz"`},
		{"boom\nstack one", "boom\nstack two"},
	}
	for _, pair := range same {
		if CauseOf("q", pair[0]) != CauseOf("q", pair[1]) {
			t.Errorf("%q and %q have different causes", pair[0], pair[1])
		}
	}
	if CauseOf("q", "exit status 1") == CauseOf("q", "exit status 137") {
		t.Error("different exit codes have the same cause")
	}
	if CauseOf("q", "x") == CauseOf("r", "x") {
		t.Error("different queues have the same cause")
	}
}

func TestBackoffDoublesWithinItsBounds(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 11: 10 * time.Minute, 1000: 10 * time.Minute} {
		for range 100 {
			if got := DefaultBackoff(failures); got < want*8/10 || got > want*12/10 {
				t.Fatalf("after %d failures: got %v, want %v ±20 %%", failures, got, want)
			}
		}
	}
}

func TestCutKeepsTextValid(t *testing.T) {
	for _, text := range []string{"äöü", "日本語日本語", "a\xffb", "plain"} {
		for most := 4; most < 20; most++ {
			got := cut(text, most)
			if len(got) > max(most, len(text)+2) {
				t.Errorf("cut(%q, %d) has %d bytes", text, most, len(got))
			}
			for _, r := range got {
				if r == 0 {
					t.Errorf("cut(%q, %d) = %q", text, most, got)
				}
			}
		}
	}
}
