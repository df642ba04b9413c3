package config

import (
	_ "embed"
	"encoding/json"
	"strings"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

//go:embed template.yaml
var template []byte

// Template is a file with every key at its default and a comment on each.
func Template() []byte { return template }

// schema is a part of a JSON Schema.
type schema = map[string]any

// types are what a value may be; an empty one takes the default.
func types(names ...string) []any { return anys(names, "null") }

// about is what the template leaves unsaid.
var about = map[string]string{
	"store":                  "where the jobs are kept",
	"consumer.queue":         "where it takes",
	"cleaner.keep_cancelled": "as keep_done, for cancelled jobs",
	"cleaner.keep_failed":    "as keep_done, for failed jobs, with their *.failed files: while a job is kept it can be retried",
	"serve.tls.cert":         "file with the certificate",
	"serve.tls.key":          "file with its key",
	"workers.producer":       "it puts jobs: generate makes files, watch takes the files of a folder, command puts a job for each line that a command prints",
	"workers.consumer":       "it processes jobs: transform with the built-in example, command with a command of yours",
	"workers.dir":            "folder below general.primary_path: generate makes its files there, watch takes them from there, a consumer writes its outputs there",
	"workers.pattern":        "watch takes only files with such names",
	"workers.command":        `program and arguments, never a shell line; "{in}" and "{out}" stand for the job's file and for where its output goes`,
	"workers.then":           "queue that gets a job with the output of each one that is done",
	"workers.start":          "false: it waits for holdfast start NAME",
	"workers.env":            "names of variables that its command gets besides PATH, HOME and LANG",
	"workers.mode":           "job: a process for each job; lines: one process that stays and gets a line of JSON for each",
}

// Schema is a JSON Schema of the file, for editors.
func Schema() []byte {
	comments := templateComments()
	say := func(path string) string {
		if text := about[path]; text != "" {
			return text
		}
		return comments[path]
	}
	root := object(say)
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = "holdfast.yaml"
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(err) // it is made of texts, numbers and lists
	}
	return append(text, '\n')
}

// object is the schema of the whole file.
func object(say func(string) string) schema {
	root := group(nil)
	def := Defaults()
	for _, k := range keys {
		at := root
		parts := strings.Split(k.name, ".")
		for i, part := range parts[:len(parts)-1] {
			properties := at["properties"].(schema)
			if properties[part] == nil {
				properties[part] = group(nil)
				describe(properties[part].(schema), say(strings.Join(parts[:i+1], ".")))
			}
			at = properties[part].(schema)
		}
		at["properties"].(schema)[parts[len(parts)-1]] = property(k, def, say(k.name))
	}
	properties := root["properties"].(schema)
	queue := group(nil)
	for _, k := range retentionKeys {
		queue["properties"].(schema)[k.name] = property(k, nil, say("cleaner."+k.name))
	}
	properties["queues"] = named(queue, `^[A-Za-z0-9._:-]{1,128}$`, say("queues"))
	properties["workers"] = named(workerSchema(say), workerName.String(), say("workers"))
	return root
}

func workerSchema(say func(string) string) schema {
	worker := group(nil)
	for _, role := range []string{producer, consumer} {
		for _, k := range workerKeys[role] {
			text := say("workers." + k.name)
			if text == "" {
				text = say(role + "." + k.name)
			}
			worker["properties"].(schema)[k.name] = property(k, nil, text)
		}
	}
	worker["oneOf"] = []any{schema{"required": []any{producer}}, schema{"required": []any{consumer}}}
	return worker
}

// group is the schema of keys with values.
func group(properties schema) schema {
	if properties == nil {
		properties = schema{}
	}
	return schema{"type": types("object"), "additionalProperties": false, "properties": properties}
}

// named is the schema of things by their names.
func named(one schema, pattern, text string) schema {
	s := schema{"type": types("object"), "additionalProperties": one, "propertyNames": schema{"pattern": pattern}}
	describe(s, text)
	return s
}

// property is the schema of one key; with its default if there is somebody to say it.
func property[S any](k key[S], def *S, text string) schema {
	s := schema{}
	for name, v := range k.schema {
		s[name] = v
	}
	if def != nil {
		s["default"] = k.json(def)
	}
	describe(s, text)
	return s
}

func describe(s schema, text string) {
	if text != "" {
		s["description"] = text
	}
}

// templateComments gives what the template says of each key at the end of its line.
func templateComments() map[string]string {
	out := map[string]string{}
	section, path, line := "", "", 0
	for _, t := range lexer.Tokenize(string(template)) {
		switch {
		case t.Type == token.CommentType && t.Position.Line == line:
			out[path] = strings.TrimSpace(t.Value)
		case t.Type == token.StringType && t.Next != nil && t.Next.Type == token.MappingValueType && t.Position.Line != line:
			line = t.Position.Line
			if t.Position.Column == 1 {
				section = t.Value
				path = section
			} else {
				path = section + "." + t.Value
			}
		}
	}
	return out
}
