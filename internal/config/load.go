package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// DefaultFile is the file that is found by itself, in the current folder.
const DefaultFile = "holdfast.yaml"

// Sources is where values come from. A flag wins over the environment, that over the file, that over the defaults.
type Sources struct {
	File    string   // "": DefaultFile, if it is there
	Environ []string // as os.Environ gives it
	Flags   []Flag   // that were given
}

// Flag is a flag that stands for a key.
type Flag struct{ Key, Name, Value string }

// Load reads all sources. Errors: every mistake in them; another error: the file cannot be read.
func Load(s Sources) (*Config, error) {
	name, text, err := read(s.File)
	if err != nil {
		return nil, err
	}
	return load(name, text, s)
}

// Parse reads the text of a file alone. The name is for messages and origins.
func Parse(name string, text []byte) (*Config, error) { return load(name, text, Sources{}) }

func load(name string, text []byte, s Sources) (*Config, error) {
	r := &reader{c: Defaults(), name: name}
	r.c.file = name
	body := r.parse(text)
	var l later
	r.section("", body, &l)
	r.environment(s.Environ)
	for _, f := range s.Flags {
		r.outside(f.Key, f.Name, f.Value, Origin{Flag: f.Name})
	}
	if l.queues != nil {
		r.queues(l.queues)
	}
	if l.workers != nil {
		r.workers(l.workers)
	}
	r.together()
	if len(r.errs) > 0 {
		return nil, r.errs.sorted()
	}
	return r.c, nil
}

// read gives the file's text and the name by which messages call it; both are empty where no file was named and none is
// there.
func read(file string) (name string, text []byte, err error) {
	name = file
	if file == "" {
		name = DefaultFile
	}
	f, err := open(name, file == "")
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && file == "" {
			return "", nil, nil
		}
		return "", nil, fileError(name, err)
	}
	defer f.Close()
	if text, err = io.ReadAll(io.LimitReader(f, MaxBytes+1)); err != nil {
		return "", nil, fileError(name, err)
	}
	return name, text, nil
}

// open refuses what would wait for ever when nobody asked for it by name: a person may name a pipe.
func open(name string, found bool) (*os.File, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a folder")
	case found && !info.Mode().IsRegular():
		return nil, errors.New("it is no file")
	}
	return os.Open(name)
}

func fileError(name string, err error) error {
	if path := new(fs.PathError); errors.As(err, &path) {
		err = path.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("there is no such file")
	}
	return Errors{{File: name, Text: "cannot read the config file: " + err.Error()}}
}

// prefix of every environment variable of ours.
const prefix = "HOLDFAST_"

// known are the variables that are no settings: what a script gets, by which a script's own call of holdfast must not
// stumble.
var known = []string{
	"HOLDFAST_JOB_ID", "HOLDFAST_QUEUE", "HOLDFAST_ATTEMPT", "HOLDFAST_ATTEMPTS", "HOLDFAST_LEASE", "HOLDFAST_FENCE", "HOLDFAST_IN", "HOLDFAST_OUT",
}

// EnvName is the variable that stands for a key.
func EnvName(key string) string { return prefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_")) }

// environment takes the settings among variables. An empty one is as if it was not there.
func (r *reader) environment(environ []string) {
	settings := map[string]string{} // variable: key
	for _, k := range keys {
		settings[EnvName(k.name)] = k.name
	}
	for _, line := range slices.Sorted(slices.Values(environ)) {
		name, text, _ := strings.Cut(line, "=")
		if !strings.HasPrefix(name, prefix) || text == "" || strings.HasPrefix(name, prefix+"TEST_") || slices.Contains(known, name) {
			continue
		}
		if key, is := settings[name]; is {
			r.outside(key, name, text, Origin{Env: name})
			continue
		}
		hint := variableMeant(name, slices.Sorted(maps.Keys(settings)))
		r.errs = append(r.errs, &Error{Text: "the environment has " + quotedName(name) + ", which is no setting" + hint})
	}
}

// variableMeant says what a variable of ours that is no setting may stand for, as the end of a message.
func variableMeant(name string, settings []string) string {
	if strings.HasPrefix(name, prefix+"WORKERS_") || strings.HasPrefix(name, prefix+"QUEUES_") {
		return "; workers and queues are set in the file alone"
	}
	rest := strings.TrimPrefix(name, prefix)
	var near []string
	short := make([]string, len(settings))
	for i, s := range settings {
		if short[i] = strings.TrimPrefix(s, prefix); strings.HasSuffix(s, "_"+rest) {
			near = append(near, s)
		}
	}
	if word := closest(rest, short); word != "" {
		near = []string{prefix + word}
	}
	if len(near) == 0 {
		return "; holdfast config show lists what can be set"
	}
	return "; did you mean " + strings.Join(near, " or ") + "?"
}

func quotedName(name string) string {
	if variable.MatchString(name) {
		return name
	}
	return quoted(name)
}

// outside gives a key a value that does not come from the file; in it a list has commas.
func (r *reader) outside(name, from, text string, o Origin) {
	k, is := find(keys, name)
	if !is {
		panic("config: no key " + name)
	}
	words := []string{text}
	if k.form == formList {
		words = strings.Split(text, ",")
		for i := range words {
			words[i] = strings.TrimSpace(words[i])
		}
	}
	if err := k.set(r.c, words); err != nil {
		r.errs = append(r.errs, &Error{Text: fmt.Sprintf("%s is %s: %v", from, bareOrQuoted(text), err)})
		return
	}
	r.c.origins[name] = o
}

// together checks what values mean beside each other, wherever they came from.
func (r *reader) together() {
	s := &r.c.Serve
	if (s.TLS.Cert == "") != (s.TLS.Key == "") {
		said, missing := "cert", "key"
		if s.TLS.Cert == "" {
			said, missing = missing, said
		}
		r.against("serve.tls."+said, "serve.tls has a %s but no %s; it needs both", said, missing)
	}
	if !loopback(s.Listen) && s.TLS.Cert == "" && s.TLS.Key == "" && !s.BehindProxy {
		r.against("serve.listen", "serve.listen is %s, which others can reach: set serve.tls, or serve.behind_proxy: true if a proxy in front does TLS", quoted(s.Listen))
	}
}

// against notes a mistake where a value came from.
func (r *reader) against(key, format string, args ...any) {
	o := r.c.Origin(key)
	if o.File != "" {
		r.wrong(place{o.Line, o.column}, format, args...)
		return
	}
	r.errs = append(r.errs, &Error{Text: fmt.Sprintf("%s: %s", o, fmt.Sprintf(format, args...))})
}

func (c *Config) queueNames() []string { return slices.Sorted(maps.Keys(c.Queues)) }

// uses says whether a kind of producer or consumer looks at a key.
func uses(role, kind, key string) bool {
	kinds := onlyFor[role+"."+key]
	return kinds == nil || slices.Contains(kinds, kind)
}
