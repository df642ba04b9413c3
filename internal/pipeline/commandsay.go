package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/supervise"
)

// What a command says to us begins with two colons, on stdout:
//
//	::progress 40 page 2/5
//	::result {"pages":5}
//	::put QUEUE {"page":1}
//
// Any other line is output, also one that begins so and is none of these.
const (
	directive    = "::"
	maxDirective = holdfast.MaxDataBytes + 1<<10
	logEvery     = time.Second // how often output reaches the job's log, from which heartbeats take it
)

// listener hears what a command prints.
type listener struct {
	*task
	label  string
	result json.RawMessage
	err    error   // what was said could not be done: the attempt has failed, whatever the exit code
	within [2]bool // a line that goes on, on stdout and stderr

	mu      sync.Mutex
	pending supervise.Tail
	ending  chan struct{}
	flushed sync.WaitGroup
}

func newListener(t *task) *listener {
	l := &listener{task: t, label: t.job.ID.String(), ending: make(chan struct{})}
	l.label = l.label[len(l.label)-6:]
	if t.path != "" {
		l.label = path.Base(t.path)
	}
	l.flushed.Go(l.flush)
	return l
}

// line is supervise.Command.Line.
func (l *listener) line(line supervise.Line) {
	stream := 0
	if line.Err {
		stream = 1
	}
	goesOn := l.within[stream]
	l.within[stream] = line.Part
	if stream == 0 && !goesOn && bytes.HasPrefix(line.Text, []byte(directive)) && l.obey(string(line.Text), line.Part) {
		return
	}
	l.mu.Lock()
	l.pending.Write(line.Text)
	l.pending.Write([]byte("\n"))
	l.mu.Unlock()
	if l.talk != nil {
		l.talk.say(l.Queue, "%s  %s", shown(l.label), line.Text)
	}
}

// obey does what a line says; false: it is output like any other.
func (l *listener) obey(line string, part bool) bool {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	if part && (word == "::result" || word == "::put") {
		l.fail("%s with more than %d bytes", word, holdfast.MaxDataBytes)
		return true
	}
	switch word {
	case "::progress":
		number, note, _ := strings.Cut(rest, " ")
		percent, err := strconv.ParseFloat(strings.TrimSuffix(number, "%"), 64)
		if err != nil || percent != percent {
			return false
		}
		l.job.Progress(percent/100, clean(strings.TrimSpace(note)))
	case "::result":
		result, ok := jsonOf(rest)
		if !ok {
			l.fail("::result that is no JSON: %s", shown(rest))
			return true
		}
		if err := l.job.SetResult(result); err != nil {
			l.fail("::result: %v", err)
			return true
		}
		l.result = result
	case "::put":
		queue, text, _ := strings.Cut(rest, " ")
		data, ok := jsonOf(text)
		if !ok {
			l.fail("::put %s with data that is no JSON: %s", shown(queue), shown(text))
			return true
		}
		// No context of the attempt's: nothing is written before the completion.
		if _, err := holdfast.NewQueue[json.RawMessage](l.store, queue).In(l.job).Put(context.Background(), data); err != nil {
			l.fail("::put: %v", err)
		}
	default:
		return false
	}
	return true
}

func jsonOf(text string) (json.RawMessage, bool) {
	text = strings.TrimSpace(text)
	return json.RawMessage(text), json.Valid([]byte(text))
}

// fail keeps the first reason.
func (l *listener) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf("it said "+format, args...)
	}
}

// flush hands output to the job's log now and then: line by line would cost more than the command itself.
func (l *listener) flush() {
	ticker := time.NewTicker(logEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			l.hand("")
		case <-l.ending:
			return
		}
	}
}

func (l *listener) hand(last string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := append(l.pending.Take(), last...)
	if len(text) > 0 {
		_, _ = l.job.LogWriter().Write(text) // memory, until the next heartbeat
	}
}

// end writes the rest, and how it ended.
func (l *listener) end(exit *supervise.Exit, err error) {
	close(l.ending)
	l.flushed.Wait()
	last := fmt.Sprintf("%v after %v", exit, exit.Took.Round(time.Millisecond))
	if err != nil {
		last = err.Error()
	}
	if exit.Memory > 0 {
		last += fmt.Sprintf(", at most %d MB in memory", (exit.Memory+1<<20-1)>>20)
	}
	if exit.Killed {
		last += ", by force"
	}
	l.hand("[" + last + "]\n")
}
