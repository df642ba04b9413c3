package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// workers reads the named producers and consumers.
func (r *reader) workers(n ast.Node) {
	at := map[string]place{}
	for _, e := range r.group(n, "workers") {
		if err := checkWorkerName(e.name); err != nil {
			r.wrong(e.at, "%v", err)
			continue
		}
		at[e.name] = e.at
		before := len(r.errs)
		if w, ok := r.worker(e); ok {
			if len(r.errs) == before {
				r.whole(&w, e.at)
			}
			r.c.Workers = append(r.c.Workers, w)
		}
	}
	r.loops(at)
}

// worker reads one; false: it cannot even be said what it is.
func (r *reader) worker(e entry) (Worker, bool) {
	path := "workers." + e.name
	entries := r.group(e.value, path)
	role, ok := r.role(e, entries)
	if !ok {
		return Worker{}, false
	}
	var w Worker
	other := consumer
	if role == producer {
		w = r.c.DefaultProducer(e.name)
		w.Producer = ""
	} else {
		other = producer
		w = r.c.DefaultConsumer(e.name)
		w.Consumer = ""
	}
	mine := workerKeys[role]
	for _, e := range entries {
		k, known := find(mine, e.name)
		_, others := find(workerKeys[other], e.name)
		switch {
		case known:
			set(r, &w, k, path+"."+e.name, e)
		case others && e.name == other: // said by role
		case others:
			r.wrong(e.at, "%s is for %ss; %s is a %s", e.name, other, w.Name, role)
		default:
			r.unknown(e, path, path, append(namesOf(mine), other))
		}
	}
	kind := w.Producer + w.Consumer
	if kind == "" { // a mistake that was noted
		return w, true
	}
	for _, e := range entries {
		if kinds := onlyFor[role+"."+e.name]; kinds != nil && !slices.Contains(kinds, kind) {
			r.wrong(e.at, "%s is for %s: %s; %s is %s: %s", e.name, role, strings.Join(kinds, " or "), w.Name, role, kind)
		}
	}
	return w, true
}

// role says whether a worker is a producer or a consumer.
func (r *reader) role(e entry, entries []entry) (string, bool) {
	var said []entry
	for _, e := range entries {
		_, null := e.value.(*ast.NullNode)
		if (e.name == producer || e.name == consumer) && !null {
			said = append(said, e)
		}
	}
	switch len(said) {
	case 1:
		return said[0].name, true
	case 2:
		r.wrong(said[1].at, "worker %s cannot be both a producer and a consumer; make two, with two names", e.name)
	default:
		r.wrong(e.at, "what is worker %s? Say producer: generate, watch or command, or consumer: transform or command", e.name)
	}
	return "", false
}

// whole checks what the keys of a worker mean together.
func (r *reader) whole(w *Worker, at place) {
	path := "workers." + w.Name
	switch {
	case w.Producer == "watch" && !r.said(path+".dir"):
		r.wrong(at, "%s watches a folder: say which, like dir: in", w.Name)
	case w.Producer == "command" && len(w.Command) == 0:
		r.wrong(at, "%s runs a command: say which, like command: [./list-files]", w.Name)
	case w.Consumer == "command" && len(w.Command) == 0:
		r.wrong(at, `%s runs a command: say which, like command: [python3, ocr.py, "{in}", "{out}"]`, w.Name)
	case len(w.Command) > 0 && strings.TrimSpace(w.Command[0]) == "":
		r.wrong(r.placeOf(path+".command"), "the first word of %s.command is the program to run", path)
	case w.Producer == "command" && slices.ContainsFunc(w.Command, func(s string) bool { return strings.Contains(s, "{in}") || strings.Contains(s, "{out}") }):
		r.wrong(r.placeOf(path+".command"), "{in} and {out} are of consumers; a producer's command prints a job a line")
	}
}

func (r *reader) said(path string) bool { _, ok := r.c.origins[path]; return ok }

func (r *reader) placeOf(path string) place {
	o := r.c.origins[path]
	return place{o.Line, o.column}
}

// flow is a way for jobs from one queue to another.
type flow struct {
	from, to string
	at       place
	text     string
}

// loops finds workers that feed themselves, directly or through others: each job would make another without end.
func (r *reader) loops(at map[string]place) {
	var flows []flow
	for _, w := range r.c.Workers {
		if w.Consumer == "" {
			continue
		}
		path := "workers." + w.Name
		if w.Then != "" {
			flows = append(flows, flow{w.Queue(), w.Then, r.placeOf(path + ".then"), fmt.Sprintf("%s puts a job into %s for each that it takes from %s", w.Name, w.Then, w.Queue())})
		}
		for _, p := range r.c.Workers {
			if p.Producer == "watch" && p.Dir == w.Dir {
				place := at[w.Name]
				if r.said(path + ".dir") {
					place = r.placeOf(path + ".dir")
				}
				flows = append(flows, flow{w.Queue(), p.Queue(), place, fmt.Sprintf("%s writes its files to %s, where %s takes them as new ones", w.Name, w.Dir, p.Name)})
			}
		}
	}
	open := map[string][]string{} // the flows so far, which make no loop
	for _, f := range flows {
		way := route(open, f.to, f.from, map[string]bool{})
		if way == nil {
			open[f.from] = append(open[f.from], f.to)
			continue
		}
		r.wrong(f.at, "%s: without end, %s", f.text, strings.Join(append([]string{f.from}, way...), " → "))
	}
}

// route is a way through queues, both ends included, or nil.
func route(open map[string][]string, from, to string, seen map[string]bool) []string {
	if from == to {
		return []string{to}
	}
	seen[from] = true
	for _, next := range open[from] {
		if seen[next] {
			continue
		}
		if way := route(open, next, to, seen); way != nil {
			return append([]string{from}, way...)
		}
	}
	return nil
}
