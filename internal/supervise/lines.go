package supervise

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// Line is one line of a child's output, without its end.
type Line struct {
	Err  bool // of stderr
	Text []byte
	Part bool // the line was too long: this is a part of it, and another follows
}

// output takes what a child prints: it makes lines, and keeps the end of it.
type output struct {
	line func(Line)

	mu      sync.Mutex
	tail    Tail
	lastErr []byte
}

// stream is one of the two pipes.
type stream struct {
	out       *output
	err       bool
	raw       io.Writer // gets the bytes as they are; may be nil
	long      []byte
	longBytes int
	buf       []byte // a line that has not ended
}

// readFrom reads a pipe to its end, and closes it.
func (s *stream) readFrom(r io.ReadCloser) {
	defer r.Close()
	chunk := make([]byte, 64<<10)
	for {
		n, err := r.Read(chunk)
		if s.raw != nil && n > 0 {
			if _, rawErr := s.raw.Write(chunk[:n]); rawErr != nil {
				err = rawErr
			}
		}
		s.out.mu.Lock()
		s.write(chunk[:n])
		if err != nil && len(s.buf) > 0 {
			s.give(s.buf, false)
			s.buf = nil
		}
		s.out.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// write takes a chunk. What is in the chunk as a whole line is not copied.
func (s *stream) write(p []byte) {
	s.out.tail.Write(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i >= 0 && len(s.buf) == 0 && i <= MaxLine {
			s.give(p[:i], false)
			p = p[i+1:]
			continue
		}
		rest := p
		if i >= 0 {
			rest = p[:i]
		}
		room := s.most(rest) - len(s.buf)
		if len(rest) > room {
			s.buf = append(s.buf, rest[:room]...)
			s.give(s.buf, true)
			s.buf = s.buf[:0]
			p = p[room:]
			continue
		}
		s.buf = append(s.buf, rest...)
		p = p[len(rest):]
		if i >= 0 {
			s.give(s.buf, false)
			s.buf = s.buf[:0]
			p = p[1:]
		}
	}
	if cap(s.buf) > 2*MaxLine && len(s.buf) == 0 {
		s.buf = nil
	}
}

// most is how long the line that has begun may get.
func (s *stream) most(more []byte) int {
	if len(s.long) == 0 {
		return MaxLine
	}
	begin := s.buf
	if len(begin) < len(s.long) {
		begin = append(begin[:len(begin):len(begin)], more[:min(len(more), len(s.long))]...)
	}
	if bytes.HasPrefix(begin, s.long) {
		return max(s.longBytes, MaxLine)
	}
	return MaxLine
}

func (s *stream) give(text []byte, part bool) {
	text = bytes.TrimSuffix(text, []byte("\r"))
	if s.err && len(bytes.TrimSpace(text)) > 0 {
		s.out.lastErr = append(s.out.lastErr[:0], text[:min(len(text), 4<<10)]...)
	}
	if s.out.line != nil {
		s.out.line(Line{Err: s.err, Text: text, Part: part})
	}
}

// end gives what was kept.
func (o *output) end() (tail []byte, lastErr string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.line = nil // of a pipe that somebody holds open for ever
	return o.tail.Take(), strings.TrimSpace(string(o.lastErr))
}

// Tail keeps the last MaxTail bytes that were written to it. The zero Tail is ready.
type Tail struct{ buf []byte }

// Write never fails. It moves bytes only now and then, so that many small writes cost little.
func (t *Tail) Write(p []byte) (int, error) {
	n := len(p)
	if len(p) > MaxTail {
		p = p[len(p)-MaxTail:]
	}
	if len(t.buf)+len(p) > 3*MaxTail {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-MaxTail:]...)
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

// Take gives what is kept and forgets it.
func (t *Tail) Take() []byte {
	kept := t.buf[max(len(t.buf)-MaxTail, 0):]
	t.buf = nil
	return kept
}
