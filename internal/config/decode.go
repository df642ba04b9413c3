package config

import (
	"errors"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/holdfastq/holdfast"
)

// entry is one key of a group, with its value.
type entry struct {
	name  string
	at    place
	value ast.Node
}

// group gives the entries of a group of keys; none of an empty value. what is the group's name, for messages.
func (r *reader) group(n ast.Node, what string) []entry {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		hint := ""
		if text, _, ok := scalarOf(n); ok && noSpace.MatchString(text) {
			hint = "; a space is missing after a colon"
		} else if ok && text == "" {
			return nil
		}
		r.wrong(start(n), "%s must be keys with values, like key: value%s", what, hint)
		return nil
	}
	entries := make([]entry, 0, len(values))
	for _, v := range values {
		name, _, ok := scalarOf(v.Key)
		at := start(v.Key)
		if !ok {
			if _, null := v.Key.(*ast.NullNode); !null {
				r.wrong(at, "a key must be a word")
				continue
			}
			name = v.Key.GetToken().Value
		}
		if i := slices.IndexFunc(entries, func(e entry) bool { return e.name == name }); i >= 0 {
			r.wrong(at, "%s is said twice, first in line %d", shown(name), entries[i].at.line)
			continue
		}
		entries = append(entries, entry{name, at, v.Value})
	}
	return entries
}

// shown is a key in a message: bare if it looks like one of ours.
func shown(name string) string {
	if workerName.MatchString(name) {
		return name
	}
	return quoted(name)
}

// start is where a value begins.
func start(n ast.Node) place {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return start(m.Values[0].Key)
	}
	if v, ok := n.(*ast.MappingValueNode); ok {
		return start(v.Key)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return placeOf(t)
	}
	return place{1, 1}
}

// scalarOf gives the text of a single value as it stands in the file, and whether it is in quotes.
func scalarOf(n ast.Node) (text string, inQuotes, ok bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		t := n.GetToken()
		return n.Value, t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType, true
	case *ast.LiteralNode:
		if n.Value == nil {
			return "", true, true
		}
		return n.Value.Value, true, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return strings.TrimSpace(n.GetToken().Value), false, true
	}
	return "", false, false
}

// words gives a value's words in the shape of its key; none means that the value is empty and the default is taken.
func (r *reader) words(f form, path string, n ast.Node) []string {
	if _, null := n.(*ast.NullNode); null || n == nil {
		return nil
	}
	text, inQuotes, single := scalarOf(n)
	seq, isList := n.(*ast.SequenceNode)
	switch {
	case single && text == "":
		return nil
	case f == formList && isList:
		return r.elements(path, seq)
	case f == formList && single && len(text) < 200:
		r.wrong(start(n), "%s must be a list: %s", path, asList(text, path))
	case f == formList:
		r.wrong(start(n), "%s must be a list, like [one, two]", path)
	case isList:
		r.wrong(start(n), "%s must be one value, not a list", path)
	case !single:
		if word := braces(n); word != "" {
			r.wrong(start(n), `without quotes %s is a group of keys; write "%s"`, word, word)
		} else {
			r.wrong(start(n), "%s must be one value, not a group of keys", path)
		}
	case inQuotes && f != formText:
		r.wrong(start(n), "%s is text because of the quotes; write it without them", path)
	default:
		return []string{text}
	}
	return nil
}

// elements gives the words of a list; one that is empty is not nil.
func (r *reader) elements(path string, seq *ast.SequenceNode) []string {
	words := make([]string, 0, len(seq.Values))
	before := len(r.errs)
	for i, n := range seq.Values {
		text, _, ok := scalarOf(n)
		_, null := n.(*ast.NullNode)
		switch {
		case ok:
			words = append(words, text)
		case braces(n) != "":
			r.wrong(start(n), `without quotes %s is a group of keys; write "%s"`, braces(n), braces(n))
		case null:
			r.wrong(start(n), `element %d of %s is empty; take it out, or put it in quotes`, i+1, path)
		default:
			r.wrong(start(n), "element %d of %s must be one value; has it a : or brackets that need quotes?", i+1, path)
		}
	}
	if len(r.errs) > before {
		return nil
	}
	return words
}

// braces gives {in} for a value that is it without quotes, which YAML reads as a group with the one key in; else "".
func braces(n ast.Node) string {
	m, ok := n.(*ast.MappingNode)
	if !ok || !m.IsFlowStyle || len(m.Values) != 1 {
		return ""
	}
	name, _, _ := scalarOf(m.Values[0].Key)
	if _, null := m.Values[0].Value.(*ast.NullNode); !null || !placeholder.MatchString("{"+name+"}") {
		return ""
	}
	return "{" + name + "}"
}

// asList writes a text as the list that was perhaps meant.
func asList(text, path string) string {
	words := []string{text}
	if strings.HasSuffix(path, ".command") {
		words = strings.Fields(text)
	}
	for i, word := range words {
		words[i] = element(word)
	}
	return hidden("[" + strings.Join(words, ", ") + "]")
}

// set gives a key the value of its entry, and notes from where. path is the key's name from the top.
func set[S any](r *reader, s *S, k key[S], path string, e entry) {
	words := r.words(k.form, path, e.value)
	if words == nil {
		return
	}
	at := start(e.value)
	err := k.set(s, words)
	if element := new(elementError); errors.As(err, &element) {
		r.wrong(start(e.value.(*ast.SequenceNode).Values[element.index]), "%s: %s: %v", path, quoted(element.word), element.error)
		return
	}
	if err != nil {
		r.wrong(at, "%s is %s: %v", path, bareOrQuoted(words[0]), err)
		return
	}
	r.c.origins[path] = Origin{File: r.name, Line: at.line, column: at.column}
}

func bareOrQuoted(s string) string {
	if s != "" && len(s) < 40 && strings.Trim(s, "-0123456789.") == "" {
		return s
	}
	return quoted(s)
}

// later is what of the file is read last, because its defaults come from everything else.
type later struct{ queues, workers ast.Node }

// section reads a group whose keys all have a name in keys. prefix is empty, or ends with a dot.
func (r *reader) section(prefix string, n ast.Node, l *later) {
	names, what := children(prefix), "the file"
	if prefix != "" {
		what = strings.TrimSuffix(prefix, ".")
	}
	for _, e := range r.group(n, what) {
		path := prefix + e.name
		k, isKey := find(keys, path)
		switch {
		case !slices.Contains(names, e.name):
			r.unknown(e, what, strings.TrimSuffix(prefix, "."), names)
		case path == "queues":
			l.queues = e.value
		case path == "workers":
			l.workers = e.value
		case isKey:
			set(r, r.c, k, path, e)
		default:
			r.section(path+".", e.value, l)
		}
	}
}

func (r *reader) unknown(e entry, what, at string, names []string) {
	r.wrong(e.at, "there is no key %s in %s%s", shown(e.name), what, meant(e.name, at, names))
}

// children gives the names below a prefix, in the order of keys.
func children(prefix string) []string {
	var names []string
	for _, k := range keys {
		if rest, below := strings.CutPrefix(k.name, prefix); below {
			if name, _, _ := strings.Cut(rest, "."); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if prefix == "" {
		names = append(names, "queues", "workers")
	}
	return names
}

func namesOf[S any](keys []key[S]) []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return names
}

// queues reads the retention of single queues; what one does not say is the cleaner's.
func (r *reader) queues(n ast.Node) {
	for _, e := range r.group(n, "queues") {
		if err := checkQueue(e.name); err != nil {
			r.wrong(e.at, "queue %s: %v", quoted(e.name), err)
			continue
		}
		path := "queues." + e.name
		keep := r.c.Cleaner.Keep
		for _, e := range r.group(e.value, path) {
			if k, known := find(retentionKeys, e.name); known {
				set(r, &keep, k, path+"."+e.name, e)
			} else {
				r.unknown(e, path, path, namesOf(retentionKeys))
			}
		}
		if r.c.Queues == nil {
			r.c.Queues = map[string]holdfast.Retention{}
		}
		r.c.Queues[e.name] = keep
	}
}
