package config

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/holdfastq/holdfast"
)

const durationHint = "write 500ms, 30s, 5m, 24h, 7d or a number of seconds"

var errDuration = errors.New(durationHint)

// ParseDuration reads 500ms, 30s, 5m, 24h, 7d, sums of them (1h30m), or a bare number of seconds. None is negative.
// The error says only how to write one.
func ParseDuration(s string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		s = strconv.FormatFloat(n, 'f', -1, 64) + "s"
	}
	var days time.Duration
	if head, tail, is := strings.Cut(s, "d"); is {
		n, err := strconv.ParseFloat(head, 64)
		if err != nil || !(n >= 0 && n <= 36_600) { // so that NaN is neither
			return 0, errDuration
		}
		days = time.Duration(n * 24 * float64(time.Hour))
		if s = tail; s == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || days > math.MaxInt64-d {
		return 0, errDuration
	}
	return days + d, nil
}

// FormatDuration writes a duration as a person types it: 7d, 1h30m, 30s.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = strings.TrimSuffix(s, zero[1:])
		}
	}
	return s
}

// ParseKeep reads a duration, or the word forever.
func ParseKeep(s string) (time.Duration, error) {
	if s == forever {
		return holdfast.Forever, nil
	}
	d, err := ParseDuration(s)
	if err != nil {
		return 0, errors.New(durationHint + ", or " + forever)
	}
	return d, nil
}

const forever = "forever"

// FormatKeep writes a duration, or the word forever.
func FormatKeep(d time.Duration) string {
	if d == holdfast.Forever {
		return forever
	}
	return FormatDuration(d)
}

// Range is a duration between two bounds, both included.
type Range struct{ Least, Most time.Duration }

// Pick gives some duration of the range.
func (r Range) Pick() time.Duration {
	if r.Most <= r.Least {
		return r.Least
	}
	return r.Least + rand.N(r.Most-r.Least+1)
}

func (r Range) String() string {
	if r.Least == r.Most {
		return FormatDuration(r.Least)
	}
	return FormatDuration(r.Least) + ".." + FormatDuration(r.Most)
}

// ParseRange reads 7s..15s, or one duration as both bounds.
func ParseRange(s string) (Range, error) {
	least, most, is := strings.Cut(s, "..")
	if !is {
		most = least
	}
	from, err1 := ParseDuration(strings.TrimSpace(least))
	to, err2 := ParseDuration(strings.TrimSpace(most))
	switch {
	case err1 != nil || err2 != nil:
		if a, b, is := strings.Cut(s, "-"); is && !strings.Contains(s, "..") {
			return Range{}, fmt.Errorf("a range has two points: %s..%s", strings.TrimSpace(a), strings.TrimSpace(b))
		}
		return Range{}, errors.New("write a duration like 30s, or a range like 7s..15s")
	case from > to:
		return Range{}, fmt.Errorf("the smaller one comes first: %s..%s", FormatDuration(to), FormatDuration(from))
	}
	return Range{from, to}, nil
}

var sizes = []struct {
	unit  string
	bytes int64
}{{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// parseSize reads 500MB, 2GiB, or a bare number of bytes.
func parseSize(s string) (int64, error) {
	bad := errors.New("write a size like 500MB or 2GB")
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	unit := strings.TrimSpace(s[digits:])
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	if err != nil {
		return 0, bad
	}
	if unit == "" {
		return n, nil
	}
	for _, size := range sizes {
		if strings.EqualFold(unit, size.unit) || strings.EqualFold(unit+"B", size.unit) {
			if n > math.MaxInt64/size.bytes {
				return 0, bad
			}
			return n * size.bytes, nil
		}
	}
	return 0, bad
}

// formatSize writes a size in the largest unit that needs no fraction.
func formatSize(n int64) string {
	for _, size := range sizes {
		if n >= size.bytes && n%size.bytes == 0 {
			return fmt.Sprintf("%d%s", n/size.bytes, size.unit)
		}
	}
	return fmt.Sprintf("%dB", n)
}
