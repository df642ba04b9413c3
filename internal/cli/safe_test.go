package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

func TestCleanTextIsNotObeyed(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain ä 日本 ●", "plain ä 日本 ●"},
		{"\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		{"\x1b]0;title\x07", `\x1b]0;title\x07`},
		{"a\nb\r\tc", `a\nb\r\tc`},
		{"\u009b2J", `\x9b2J`},
		{"bad \xff\xc3", `bad \xff\xc3`},
		{"abc\u202egpj.exe", `abc\u202egpj.exe`},
		{"del\x7f nul\x00", `del\x7f nul\x00`},
	} {
		if got := clean(c.in); got != c.want {
			t.Errorf("clean(%q) = %s, want %s", c.in, got, c.want)
		}
	}
	if got := cleanLines("a\nb\x1b"); got != "a\nb\\x1b" {
		t.Errorf("cleanLines gives %q", got)
	}
	if got := brief(strings.Repeat("ä", 10), 5); got != "ääää…" {
		t.Errorf("brief gives %q", got)
	}
}

func TestJSONMeansTheSameAndIsGraphic(t *testing.T) {
	hostile := "\x1b[2J \u009b \u202e \x7f \u2028 \U000e0001 <&> ä"
	text, err := encode(map[string]any{"s": hostile, "raw": json.RawMessage("\"\u009b\u202e\x7f\"")})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range strings.TrimSuffix(string(text), "\n") {
		if !unicode.IsGraphic(r) {
			t.Errorf("%U reached the output: %q", r, text)
		}
	}
	var back map[string]string
	if err := json.Unmarshal(text, &back); err != nil || back["s"] != hostile || back["raw"] != "\u009b\u202e\x7f" {
		t.Errorf("got back %q, %v", back, err)
	}
}

func TestForeignTextNeverReachesATerminalRaw(t *testing.T) {
	p := newPerson(t)
	id := p.ok("put", "q", "--text", "\x1b]0;owned\x07\u009b2J\u202e")
	lease, _ := p.take("q")
	p.ok("fail", lease, "--cause", "\x1b[2Jgone\nsecond \u009b line")
	for _, args := range [][]string{{"ls"}, {"ls", "-o", "wide"}, {"ls", "-o", "csv"}, {"ls", "--json"}, {"show", id}, {"show", id, "--json"}} {
		for _, r := range p.ok(args...) {
			if !unicode.IsGraphic(r) && r != '\n' {
				t.Errorf("holdfast %q printed %U", args, r)
			}
		}
	}
	p.run("put", "\x1b[2J", "1")
	for _, r := range strings.TrimSuffix(p.talk, "\n") {
		if !unicode.IsGraphic(r) {
			t.Errorf("an error printed %U: %q", r, p.talk)
		}
	}
}

func TestColourIsForTerminalsAlone(t *testing.T) {
	p := newPerson(t)
	p.ok("cancel", p.ok("put", "q", "1"))
	if out := p.ok("ls"); strings.Contains(out, "\x1b") {
		t.Errorf("a pipe got colour: %q", out)
	}
	p.tty = true
	contains(t, p.ok("ls"), "\x1b[2m⊘ cancelled\x1b[0m")
}
