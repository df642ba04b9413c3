package cli

import (
	"testing"
	"time"

	"github.com/holdfastq/holdfast"
)

func TestDurationsAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "30s": 30 * time.Second, "5m": 5 * time.Minute, "24h": 24 * time.Hour, "7d": 168 * time.Hour,
		"1h30m": 90 * time.Minute, "1d12h": 36 * time.Hour, "1.5d": 36 * time.Hour, "90": 90 * time.Second, "0.5": 500 * time.Millisecond, "0": 0,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("parseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "1x", "-5s", "-3", "d", "1dd", "NaN", "Inf", "1e300", "99999999d", "forever"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("parseDuration(%q) = %v, want an error", text, got)
		}
	}
}

func TestSpansHaveTwoOrThreeFigures(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0 ms": 0, "0.4 ms": 400 * time.Microsecond, "12 ms": 12 * time.Millisecond, "1.94 s": 1940 * time.Millisecond, "2 s": 2 * time.Second,
		"14 s": 14 * time.Second, "5 min": 5 * time.Minute, "5 min 3 s": 303 * time.Second, "3 h 12 min": 192 * time.Minute, "2 d 3 h": 51 * time.Hour,
		"59 min 59 s": time.Hour - time.Second,
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestTimesAreReadAsPeopleWriteThem(t *testing.T) {
	local := time.Date(2026, 1, 31, 18, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"2026-01-31 18:00": local, "2026-01-31T18:00": local, "2026-01-31 18:00:00": local,
		"2026-01-31T18:00:00Z": time.Date(2026, 1, 31, 18, 0, 0, 0, time.UTC), "2026-01-31": time.Date(2026, 1, 31, 0, 0, 0, 0, time.Local),
	} {
		if got, err := parseTime(text); err != nil || !got.Equal(want) {
			t.Errorf("parseTime(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	if _, err := parseTime("tomorrow"); err == nil {
		t.Error("tomorrow is a time")
	}
}

func TestStampsHaveMilliseconds(t *testing.T) {
	if got := stamp(time.Date(2026, 1, 31, 18, 0, 0, 5_900_000, time.UTC)); *got != "2026-01-31T18:00:00.005Z" {
		t.Errorf("got %s", *got)
	}
	if stamp(time.Time{}) != nil {
		t.Error("no time has a stamp")
	}
	if got := millis(1234567 * time.Nanosecond); got != 1.235 {
		t.Errorf("got %v", got)
	}
	k := keep(holdfast.Forever)
	if k.String() != "forever" {
		t.Errorf("got %s", k.String())
	}
}
