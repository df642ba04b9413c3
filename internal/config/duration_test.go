package config

import (
	"math"
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
)

func TestDurationsAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "30s": 30 * time.Second, "5m": 5 * time.Minute, "24h": 24 * time.Hour, "7d": 168 * time.Hour,
		"1h30m": 90 * time.Minute, "1d12h": 36 * time.Hour, "1.5d": 36 * time.Hour, "90": 90 * time.Second, "0.5": 500 * time.Millisecond, "0": 0,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
		if got, err := ParseKeep(text); err != nil || got != want {
			t.Errorf("ParseKeep(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "1x", "-5s", "-3", "d", "1dd", "NaN", "NaNd", "Inf", "Infd", "1e300", "99999999d", "forever", "1 s", "30S"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
	if d, err := ParseKeep("forever"); err != nil || d != holdfast.Forever || FormatKeep(d) != "forever" {
		t.Errorf("ParseKeep(forever) = %v, %v", d, err)
	}
}

func TestDurationsAreWrittenAsTheyAreRead(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"7d": 168 * time.Hour, "1h": time.Hour, "1h30m": 90 * time.Minute, "30s": 30 * time.Second, "0s": 0, "10m": 10 * time.Minute, "1.5s": 1500 * time.Millisecond,
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("FormatDuration(%v) = %q, want %q", d, got, want)
		}
		if got, err := ParseDuration(want); err != nil || got != d {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", want, got, err, d)
		}
	}
}

func TestRangesHaveTwoBounds(t *testing.T) {
	for text, want := range map[string]Range{
		"7s..15s": {7 * time.Second, 15 * time.Second}, "7..15": {7 * time.Second, 15 * time.Second}, "0s": {}, "5": {5 * time.Second, 5 * time.Second},
		"0.5..1.5s": {500 * time.Millisecond, 1500 * time.Millisecond}, "1s .. 10m": {time.Second, 10 * time.Minute},
	} {
		if got, err := ParseRange(text); err != nil || got != want {
			t.Errorf("ParseRange(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "..", "1s..", "..1s", "2s..1s", "7s-15s", "1s..2s..3s"} {
		if got, err := ParseRange(text); err == nil {
			t.Errorf("ParseRange(%q) = %v, want an error", text, got)
		}
	}
	r := Range{time.Second, time.Second + 2}
	seen := map[time.Duration]bool{}
	for range 1000 {
		seen[r.Pick()] = true
	}
	if len(seen) != 3 || (Range{}).Pick() != 0 {
		t.Errorf("picked %v", seen)
	}
}

func TestSizesHaveUnits(t *testing.T) {
	for text, want := range map[string]int64{
		"500MB": 500e6, "500mb": 500e6, "2GB": 2e9, "2GiB": 2 << 30, "64KiB": 64 << 10, "1 TB": 1e12, "7M": 7e6, "1000": 1000, "0B": 0, "9223372036854775807": math.MaxInt64,
	} {
		got, err := parseSize(text)
		if err != nil || got != want {
			t.Errorf("parseSize(%q) = %v, %v; want %v", text, got, err, want)
		}
		if again, err := parseSize(formatSize(want)); err != nil || again != want {
			t.Errorf("%d is written as %s and read as %d, %v", want, formatSize(want), again, err)
		}
	}
	for _, text := range []string{"", "MB", "1.5GB", "-1MB", "5XB", "9223372036854775807MB", "99999999999999999999"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %v, want an error", text, got)
		}
	}
}
