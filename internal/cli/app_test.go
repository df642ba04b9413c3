package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
)

// person types commands at a store in memory.
type person struct {
	t     *testing.T
	store holdfast.Store
	env   map[string]string
	in    string
	tty   bool // a person at a terminal
	ctx   context.Context
	none  bool // there is no store until somebody makes one

	out, talk string // of the last command
}

func newPerson(t *testing.T) *person {
	return &person{t: t, store: memory.New(), ctx: t.Context(), env: map[string]string{}}
}

// keptOpen is a store that outlives the command.
type keptOpen struct{ holdfast.Store }

func (keptOpen) Close() error { return nil }

func (p *person) run(args ...string) int {
	p.t.Helper()
	var out, talk bytes.Buffer
	a := &app{
		in: strings.NewReader(p.in), out: &out, talk: &talk, asks: p.tty, screen: p.tty, color: p.tty,
		env: func(name string) string { return p.env[name] },
		open: func(_ context.Context, _ string, mayMake bool) (holdfast.Store, bool, error) {
			if p.none && !mayMake {
				return nil, false, errNoStore
			}
			made := p.none
			p.none = false
			return keptOpen{p.store}, made, nil
		},
	}
	for name, v := range p.env {
		a.environ = append(a.environ, name+"="+v)
	}
	code := a.run(p.ctx, args)
	p.out, p.talk = out.String(), talk.String()
	return code
}

// ok runs a command that must succeed and gives its results.
func (p *person) ok(args ...string) string {
	p.t.Helper()
	if code := p.run(args...); code != 0 {
		p.t.Fatalf("holdfast %q: exit code %d\n%s%s", args, code, p.out, p.talk)
	}
	return strings.TrimSuffix(p.out, "\n")
}

// fails runs a command that must end with a code and talk that contains a text.
func (p *person) fails(code int, talk string, args ...string) {
	p.t.Helper()
	if got := p.run(args...); got != code || !strings.Contains(p.talk, talk) {
		p.t.Fatalf("holdfast %q: exit code %d, talk %q; want %d and %q", args, got, p.talk, code, talk)
	}
}

// take gets a job and gives its lease and id.
func (p *person) take(args ...string) (lease, id string) {
	p.t.Helper()
	var v takenView
	if err := json.Unmarshal([]byte(p.ok(append([]string{"get"}, args...)...)), &v); err != nil {
		p.t.Fatal(err)
	}
	return v.Lease, v.ID
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}
