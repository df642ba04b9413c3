package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/config"
)

// parseDuration reads a duration of the command line.
func parseDuration(s string) (time.Duration, error) {
	d, err := config.ParseDuration(s)
	if err != nil {
		return 0, usagef("%q is no duration; %v", clean(s), err)
	}
	return d, nil
}

// duration is a flag with a duration.
type duration time.Duration

func (d *duration) Type() string { return "duration" }

func (d *duration) String() string {
	if *d == 0 {
		return "" // help then says nothing of a default
	}
	return config.FormatDuration(time.Duration(*d))
}

func (d *duration) Set(s string) error {
	parsed, err := parseDuration(s)
	*d = duration(parsed)
	return err
}

// between is a flag with a duration, or a range of durations.
type between [2]time.Duration

func (b *between) Type() string { return "duration" }

func (b *between) String() string { return config.Range{Least: b[0], Most: b[1]}.String() }

func (b *between) Set(s string) error {
	r, err := config.ParseRange(s)
	if err != nil {
		return usagef("%s is no pause; %v", quote(s), err)
	}
	if r.Most == 0 { // a zero pause would be the default one
		r = config.Range{Least: holdfast.No, Most: holdfast.No}
	}
	*b = between{r.Least, r.Most}
	return nil
}

// keep is a flag with a duration or the word forever.
type keep time.Duration

func (k *keep) Type() string { return "duration" }

func (k *keep) String() string { return config.FormatKeep(time.Duration(*k)) }

func (k *keep) Set(s string) error {
	d, err := config.ParseKeep(s)
	if err != nil {
		return usagef("%q is no duration; %v", clean(s), err)
	}
	*k = keep(d)
	return nil
}

// span says how long something lasts, for people, with two or three figures.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	two := func(big, small time.Duration, bigUnit, smallUnit string) string {
		d := d.Round(small)
		if rest := d % big / small; rest > 0 {
			return fmt.Sprintf("%d %s %d %s", d/big, bigUnit, rest, smallUnit)
		}
		return fmt.Sprintf("%d %s", d/big, bigUnit)
	}
	switch {
	case d < 0:
		return "0 s"
	case d < 10*time.Millisecond:
		return trimZeros(float64(d)/float64(time.Millisecond), 1) + " ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return trimZeros(d.Seconds(), 2) + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return two(time.Minute, time.Second, "min", "s")
	case d < 2*day:
		return two(time.Hour, time.Minute, "h", "min")
	default:
		return two(day, time.Hour, "d", "h")
	}
}

func trimZeros(f float64, digits int) string {
	s := strconv.FormatFloat(f, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// age says in one figure how long ago something was.
func age(t, now time.Time) string {
	if t.IsZero() {
		return "–"
	}
	if d := now.Sub(t); d >= 0 {
		return figure(d) + " ago"
	}
	return "in " + figure(t.Sub(now))
}

func figure(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	default:
		return fmt.Sprintf("%d d", int(d.Hours()/24))
	}
}

// moment says when something is: the time of day today, else with the date.
func moment(t, now time.Time) string {
	if t.IsZero() {
		return "–"
	}
	t, now = t.Local(), now.Local()
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04:05")
}

// parseTime reads RFC 3339, or a date and a time of day of this machine.
func parseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("%q is no time; write 2026-01-31 18:00 or 2026-01-31T18:00:00Z", clean(s))
}

// instant is a flag with a time.
type instant struct{ time.Time }

func (i *instant) Type() string { return "time" }

func (i *instant) String() string {
	if i.IsZero() {
		return ""
	}
	return i.Format(time.RFC3339)
}

func (i *instant) Set(s string) (err error) {
	i.Time, err = parseTime(s)
	return err
}
