package config

import (
	"fmt"
	"strings"
)

// Origin is where a value came from.
type Origin struct {
	File   string // with Line
	Line   int
	Env    string // the variable
	Flag   string // with its dashes
	column int
}

// String is default, FILE:LINE, env NAME or flag --NAME.
func (o Origin) String() string {
	switch {
	case o.Flag != "":
		return "flag " + o.Flag
	case o.Env != "":
		return "env " + o.Env
	case o.File != "":
		return fmt.Sprintf("%s:%d", o.File, o.Line)
	}
	return "default"
}

// IsDefault says whether nobody said the value.
func (o Origin) IsDefault() bool { return o.File == "" && o.Env == "" && o.Flag == "" }

// Origin says where the value of a key came from: store, consumer.n_time, workers.ocr.n_time. What a worker or a queue
// does not say itself comes from where its section's value came from.
func (c *Config) Origin(name string) Origin {
	if o, ok := c.origins[name]; ok {
		return o
	}
	head, rest, _ := strings.Cut(name, ".")
	i := strings.LastIndexByte(rest, '.')
	if i < 0 {
		return Origin{}
	}
	owner, last := rest[:i], rest[i+1:]
	switch head {
	case "queues":
		return c.origins["cleaner."+last]
	case "workers":
		if w, ok := c.Worker(owner); ok && w.Producer != "" {
			return c.origins["producer."+last]
		}
		return c.origins["consumer."+last]
	}
	return Origin{}
}

// Value is a key with its value and where that came from. Passwords in it cannot be read.
type Value struct {
	Key    string
	Text   string // as the file would say it
	JSON   any    // a number, a bool, a text or a list of texts
	Origin Origin
}

// Values is everything that is set or could be, in the order of the file.
func (c *Config) Values() []Value {
	var out []Value
	for _, k := range keys {
		out = append(out, value(c, c, k, ""))
	}
	for _, name := range c.queueNames() {
		keep := c.Queues[name]
		for _, k := range retentionKeys {
			out = append(out, value(c, &keep, k, "queues."+name+"."))
		}
	}
	for _, w := range c.Workers {
		role, kind := consumer, w.Consumer
		if w.Producer != "" {
			role, kind = producer, w.Producer
		}
		for _, k := range workerKeys[role] {
			if uses(role, kind, k.name) {
				out = append(out, value(c, &w, k, "workers."+w.Name+"."))
			}
		}
	}
	return out
}

func value[S any](c *Config, s *S, k key[S], prefix string) Value {
	v := Value{Key: prefix + k.name, Text: hidden(k.show(s)), JSON: k.json(s), Origin: c.Origin(prefix + k.name)}
	if text, ok := v.JSON.(string); ok {
		v.JSON = hidden(text)
	}
	return v
}
