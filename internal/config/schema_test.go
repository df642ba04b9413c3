package config

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/txtar"
)

func TestTheSchemaSaysWhatEveryKeyIs(t *testing.T) {
	var root schema
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		s := root
		for part := range strings.SplitSeq(k.name, ".") {
			s, _ = s["properties"].(schema)[part].(schema)
		}
		if s == nil {
			t.Errorf("the schema lacks %s", k.name)
		} else if _, has := s["default"]; !has || s["description"] == nil {
			t.Errorf("the schema of %s has no default or no description: %v", k.name, s)
		}
	}
	worker := root["properties"].(schema)["workers"].(schema)["additionalProperties"].(schema)["properties"].(schema)
	for _, role := range []string{producer, consumer} {
		for _, k := range workerKeys[role] {
			if s, _ := worker[k.name].(schema); s == nil || s["description"] == nil {
				t.Errorf("the schema lacks %s of workers, or does not describe it", k.name)
			}
		}
	}
}

// TestTheSchemaAcceptsWhatIsRight holds it against the template and its examples, and against broken files: what an
// editor underlines is wrong, and unknown keys and wrong types are underlined.
func TestTheSchemaAcceptsWhatIsRight(t *testing.T) {
	var root schema
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile(`(?m)^  # (\w+: +\{.*\})`)
	for _, text := range []string{string(Template()), example.ReplaceAllString(string(Template()), "  $1"), "consumer: {n_time: 60, pace: 7s..15s}\nworkers: {a: {consumer: command, command: [x, 5]}}\n", "consumer:\nworkers:\n"} {
		if why := against(root, generic(t, text), ""); why != "" {
			t.Errorf("the schema refuses %s in\n%s", why, text)
		}
	}
	archive, err := txtar.ParseFile("testdata/broken.txtar")
	if err != nil {
		t.Fatal(err)
	}
	underlined := []string{
		"unknown-key", "unknown-top", "of-a-section", "dotted", "hyphen", "synonym", "bad-duration", "negative-duration", "duration-list", "duration-group",
		"number-quoted", "number-text", "number-negative", "flag-yes", "flag-quoted", "hosts-text", "queue-key", "queue-scalar", "section-scalar", "braces",
		"command-text", "worker-both", "worker-neither", "worker-kind", "worker-names",
	}
	for _, f := range archive.Files {
		name, is := strings.CutSuffix(f.Name, ".yaml")
		var v any
		if !is || yaml.Unmarshal(f.Data, &v) != nil {
			continue
		}
		_, ours := Parse("f", f.Data)
		why := against(root, generic(t, string(f.Data)), "")
		switch {
		case why != "" && ours == nil:
			t.Errorf("%s is accepted, the schema refuses %s", name, why)
		case why == "" && slices.Contains(underlined, name):
			t.Errorf("the schema accepts %s", name)
		}
		underlined = slices.DeleteFunc(underlined, func(s string) bool { return s == name })
	}
	if len(underlined) > 0 {
		t.Errorf("there are no such files: %q", underlined)
	}
}

// generic is a file as an editor sees it: the values of JSON.
func generic(t *testing.T, text string) any {
	t.Helper()
	b, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// against says where a value is not as a schema has it, for the part of JSON Schema that ours uses.
func against(s schema, v any, path string) string {
	if allowed, has := s["type"].([]any); has && !slices.ContainsFunc(allowed, func(a any) bool { return isType(v, a.(string)) }) {
		return fmt.Sprintf("%s: %v is none of %v", path, v, allowed)
	}
	if allowed, has := s["enum"].([]any); has && !slices.Contains(allowed, v) {
		return fmt.Sprintf("%s: %v is none of %v", path, v, allowed)
	}
	switch v := v.(type) {
	case string:
		if p, has := s["pattern"].(string); has && !regexp.MustCompile(p).MatchString(v) {
			return fmt.Sprintf("%s: %q does not match %s", path, v, p)
		}
	case float64:
		if least, has := s["minimum"].(float64); has && v < least {
			return fmt.Sprintf("%s: %v is too little", path, v)
		}
		if most, has := s["maximum"].(float64); has && v > most {
			return fmt.Sprintf("%s: %v is too much", path, v)
		}
	case []any:
		for i, one := range v {
			if why := against(s["items"].(schema), one, fmt.Sprintf("%s[%d]", path, i)); why != "" {
				return why
			}
		}
	case map[string]any:
		return againstObject(s, v, path)
	}
	return ""
}

func againstObject(s schema, v map[string]any, path string) string {
	properties, _ := s["properties"].(schema)
	for name, one := range v {
		if p, has := s["propertyNames"].(schema); has && !regexp.MustCompile(p["pattern"].(string)).MatchString(name) {
			return path + "." + name + " is no name"
		}
		part, known := properties[name].(schema)
		if !known {
			if part, known = s["additionalProperties"].(schema); !known {
				return path + "." + name + " is unknown"
			}
		}
		if why := against(part, one, path+"."+name); why != "" {
			return why
		}
	}
	if choices, has := s["oneOf"].([]any); has {
		n := 0
		for _, c := range choices {
			if _, is := v[c.(schema)["required"].([]any)[0].(string)]; is {
				n++
			}
		}
		if n != 1 {
			return fmt.Sprintf("%s: %d of %v", path, n, choices)
		}
	}
	return ""
}

func isType(v any, name string) bool {
	switch v := v.(type) {
	case nil:
		return name == "null"
	case string:
		return name == "string"
	case bool:
		return name == "boolean"
	case float64:
		return name == "number" || name == "integer" && v == math.Trunc(v)
	case []any:
		return name == "array"
	default:
		return name == "object"
	}
}
