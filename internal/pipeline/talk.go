package pipeline

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/holdfastq/holdfast"
)

// talker writes what workers log as plain lines for people, the worker's name in front.
type talker struct {
	mu  sync.Mutex
	out io.Writer
}

// of gives the logger of one worker.
func (t *talker) of(worker string) *slog.Logger { return slog.New(&talk{to: t, worker: worker}) }

// say writes one line.
func (t *talker) say(worker, format string, args ...any) {
	line := clean(fmt.Sprintf(format, args...))
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "%-8s  %s\n", worker, line)
}

// talk is a slog.Handler for one worker. Manager and cleaner of the engine name themselves.
type talk struct {
	to     *talker
	worker string
	attrs  []slog.Attr
}

func (h *talk) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (h *talk) WithGroup(string) slog.Handler                    { return h }

func (h *talk) WithAttrs(attrs []slog.Attr) slog.Handler {
	copied := *h
	copied.attrs = append(copied.attrs[:len(copied.attrs):len(copied.attrs)], attrs...)
	return &copied
}

// plainer are the engine's own words, in other ones.
var plainer = map[string]string{"graced true": "nobody looked for a while: running jobs got one lease more"}

// quiet are attributes that say nothing to somebody who watches.
var quiet = map[string]bool{"producer": true, "queue": true, "state": true, "fence": true}

// Handle writes the message, the path it is about, then the rest in brackets.
func (h *talk) Handle(_ context.Context, r slog.Record) error {
	worker, message, path := h.worker, r.Message, ""
	if message == "manager" || message == "cleaner" {
		worker, message = message, "looked"
	}
	var rest []string
	add := func(a slog.Attr) bool {
		value := spoken(a.Value)
		switch {
		case quiet[a.Key], value == "", value == "0", value == "0s", value == "false":
		case a.Key == "path":
			path = " " + shown(value)
		case a.Key == "error":
			message += ": " + value
		default:
			text := strings.ReplaceAll(a.Key, "_", " ") + " " + value
			rest = append(rest, orDefault(plainer[text], text))
		}
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	if len(rest) > 0 {
		path += " (" + strings.Join(rest, ", ") + ")"
	}
	h.to.say(worker, "%s%s", message, path)
	return nil
}

func spoken(v slog.Value) string {
	switch v := v.Resolve().Any().(type) {
	case time.Duration:
		return v.Round(time.Millisecond).String()
	case time.Time:
		return v.Local().Format(time.TimeOnly)
	case holdfast.ID:
		return v.String()
	default:
		return fmt.Sprint(v)
	}
}

// clean keeps a line a line, and a terminal's state its own: control characters become spaces.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || !unicode.IsPrint(c) && !unicode.IsSpace(c) {
			return ' '
		}
		return c
	}, s)
}
