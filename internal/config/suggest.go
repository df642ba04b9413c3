package config

import (
	"slices"
	"strings"
)

// synonyms are what other systems call our keys.
var synonyms = map[string]string{
	"timeout": "n_time", "time": "n_time", "max_run": "n_time",
	"tries": "n_tries", "retries": "n_tries", "attempts": "n_tries", "max_attempts": "n_tries", "crashes": "n_crashes",
	"threads": "concurrency", "parallel": "concurrency", "processes": "concurrency", "scale": "concurrency",
	"interval": "every", "visibility_timeout": "lease", "retry": "backoff", "delay": "pace",
	"cmd": "command", "run": "command", "exec": "command", "args": "command", "argv": "command", "script": "command",
	"glob": "pattern", "match": "pattern",
	"folder": "dir", "directory": "dir", "path": "dir", "in": "dir", "out": "dir", "input": "dir", "output": "dir",
	"next": "then", "environment": "env", "enabled": "start", "autostart": "start",
	"database": "store", "db": "store", "dsn": "store",
	"port": "listen", "address": "listen", "bind": "listen", "host": "hosts",
	"root": "primary_path", "name": "machine",
	"cert_file": "cert", "key_file": "key",
	"jobs": "queues", "worker": "workers",
}

// meant says what an unknown key may stand for, as the end of a message. known are the names at its place, where that
// place is called at; "" is the top.
func meant(name, at string, known []string) string {
	if near := closest(name, known); near != "" {
		return "; did you mean " + near + "?"
	}
	if word := synonyms[strings.ToLower(name)]; slices.Contains(known, word) {
		return "; did you mean " + word + "?"
	}
	whole := strings.TrimPrefix(at+"."+name, ".")
	if _, is := find(keys, whole); is { // it has a dot
		section, rest, _ := strings.Cut(name, ".")
		return "; write " + section + ": and below it, indented, " + rest + ":"
	}
	var homes []string // where that key is
	for _, k := range keys {
		if i := strings.LastIndexByte(k.name, '.'); i >= 0 && k.name[i+1:] == name {
			homes = append(homes, k.name[:i]+":")
		}
	}
	if len(homes) > 0 && at == "" {
		return "; it belongs below " + strings.ReplaceAll(listed(homes), " and ", " or ")
	}
	return "; there are " + listed(known)
}

// closest gives the word that differs least from what was typed, "" if none is near.
func closest(typed string, words []string) string {
	plain := func(s string) string {
		return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(s))
	}
	if len(typed) > 100 {
		return ""
	}
	best, least := "", 1+max(1, len(typed)/3)
	for _, word := range words {
		if plain(word) == plain(typed) {
			return word
		}
		if d := distance(plain(typed), plain(word)); d < least && d < len(word) {
			best, least = word, d
		}
	}
	return best
}

// distance counts the letters to change, add, drop or swap with their neighbour.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}
