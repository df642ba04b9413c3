package config

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/holdfastq/holdfast"
)

var update = flag.Bool("update", false, "write the messages of testdata/broken.txtar")

// TestBrokenFilesSayWhere holds the messages for broken files to testdata/broken.txtar, where each NAME.yaml is
// followed by its NAME.want.
func TestBrokenFilesSayWhere(t *testing.T) {
	const golden = "testdata/broken.txtar"
	archive, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var out []txtar.File
	for i, f := range archive.Files {
		name, is := strings.CutSuffix(f.Name, ".yaml")
		if !is {
			continue
		}
		want := ""
		if i+1 < len(archive.Files) && archive.Files[i+1].Name == name+".want" {
			want = string(archive.Files[i+1].Data)
		}
		got := "it is accepted\n"
		if _, err := Parse("holdfast.yaml", f.Data); err != nil {
			got = err.Error() + "\n"
			if !errors.Is(err, holdfast.ErrInvalid) {
				t.Errorf("%s: %v is not ErrInvalid", name, err)
			}
		}
		out = append(out, f, txtar.File{Name: name + ".want", Data: []byte(got)})
		if got != want && !*update {
			t.Errorf("%s:\n%s\nsays\n%s\nwant\n%s", name, f.Data, got, want)
		}
		sayNothingOfGo(t, got)
	}
	if *update {
		archive.Files = out
		if err := os.WriteFile(golden, txtar.Format(archive), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

var goWords = regexp.MustCompile(`\b(int64|\[\]string|map\[|struct|interface|nil|unmarshal|config\.[A-Z]\w*|time\.\w+|ast\.\w+|strconv|%!)`)

func sayNothingOfGo(t *testing.T, text string) {
	t.Helper()
	if m := goWords.FindString(text); m != "" {
		t.Errorf("the message names %q of Go:\n%s", m, text)
	}
}

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("holdfast.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// equal compares values, not where they came from.
func equal(t *testing.T, got, want *Config) {
	t.Helper()
	g, w := *got, *want
	g.origins, w.origins, g.file, w.file = nil, nil, "", ""
	if !reflect.DeepEqual(g, w) {
		t.Errorf("got\n%#v\nwant\n%#v", g, w)
	}
}

func TestTheWholeTemplateIsTheDefaults(t *testing.T) {
	c := parse(t, string(Template()))
	want := Defaults()
	want.Serve.Hosts, want.Serve.ConfigDirs = []string{}, []string{}
	equal(t, c, want)
	for _, k := range keys {
		at, said := c.origins[k.name]
		switch {
		case k.name == "general.machine", strings.HasPrefix(k.name, "serve.tls."): // empty in it
		case !said || at.Line == 0:
			t.Errorf("the template does not have %s", k.name)
		}
	}
}

func TestTheTemplatesExamplesAreValid(t *testing.T) {
	example := regexp.MustCompile(`(?m)^  # (\w+: +\{.*\})`)
	if n := len(example.FindAll(Template(), -1)); n != 3 {
		t.Fatalf("the template has %d examples of workers, want 3", n)
	}
	c := parse(t, example.ReplaceAllString(string(Template()), "  $1"))
	d := Defaults()
	want := []Worker{
		{Name: "scans", Producer: "watch", Producing: d.Producer, Dir: "in", Pattern: "*.png", Start: true},
		{Name: "ocr", Consumer: "command", Consuming: d.Consumer, Dir: "text", Command: []string{"python3", "ocr.py", "{in}", "{out}"}, Then: "index", Start: true, Mode: ModeJob},
		{Name: "index", Consumer: "transform", Consuming: d.Consumer, Dir: "out", Env: []string{"LANG"}, Mode: ModeJob},
	}
	want[0].Producing.Queue = "ocr"
	want[1].Consuming.Queue, want[1].Consuming.NTime = "ocr", time.Minute
	want[2].Consuming.Queue = "index"
	if !reflect.DeepEqual(c.Workers, want) {
		t.Errorf("got\n%+v\nwant\n%+v", c.Workers, want)
	}
}

func TestEmptyValuesTakeTheDefault(t *testing.T) {
	var text strings.Builder
	text.WriteString("store:\n")
	section := ""
	for _, k := range keys {
		parts := strings.Split(k.name, ".")
		if len(parts) == 1 {
			continue
		}
		if parts[0] != section {
			section = parts[0]
			text.WriteString(section + ":\n")
		}
		if parts[1] != "tls" {
			text.WriteString("  " + parts[1] + ":\n")
		}
	}
	text.WriteString("queues:\nworkers:\n")
	for _, s := range []string{"", "\n", "# nothing\n", "---\n", "{}", "consumer:\n", "consumer: {}\n", "store: \"\"\nserve: ~\n", "workers: {}\nqueues: null\n", text.String()} {
		equal(t, parse(t, s), Defaults())
	}
}

func TestTheSeedsFileWorks(t *testing.T) {
	c := parse(t, "consumer:\n    n_time: 60\n    n_tries: 5\ngeneral:\n    primary_path: current/directory\n")
	want := Defaults()
	want.Consumer.NTime, want.Consumer.NTries, want.General.PrimaryPath = time.Minute, 5, "current/directory"
	equal(t, c, want)
}

func TestValuesAreReadAsPeopleWriteThem(t *testing.T) {
	c := parse(t, `
store: postgres://ana@db/jobs
producer: {queue: "scans", every: 0.5, high_water: 0}
consumer:
  n_time: 1h30m
  pace: 7s..15s
  backoff: 5
  grace: 0
cleaner:
  keep_done: 0s
  keep_failed: forever
  keep_jobs: 0
serve:
  listen: "[::1]:0"
  hosts: [jobs.example.org, "localhost:8080"]
  logs: 2GiB
queues:
  ocr: {keep_done: 1h}
  2024: {keep_jobs: 5}
workers:
  a:
    consumer: command
    command:
      - sh
      - -c
      - |
        echo one
        echo two
      - 5.0
      - true
      - ""
    mode: lines
  b: {producer: command, command: [./list], every: 1m, start: false}
`)
	want := Defaults()
	want.Store = "postgres://ana@db/jobs"
	want.Producer = Producer{"scans", 500 * time.Millisecond, 0}
	want.Consumer.NTime, want.Consumer.Grace = 90*time.Minute, 0
	want.Consumer.Pace, want.Consumer.Backoff = Range{7 * time.Second, 15 * time.Second}, Range{5 * time.Second, 5 * time.Second}
	want.Cleaner.Keep = holdfast.Retention{Done: 0, Cancelled: 168 * time.Hour, Failed: holdfast.Forever, Jobs: 0}
	want.Serve.Listen, want.Serve.Hosts, want.Serve.Logs = "[::1]:0", []string{"jobs.example.org", "localhost:8080"}, 2<<30
	hour, five := want.Cleaner.Keep, want.Cleaner.Keep
	hour.Done, five.Jobs = time.Hour, 5
	want.Queues = map[string]holdfast.Retention{"ocr": hour, "2024": five}
	b := want.DefaultProducer("b")
	b.Producer, b.Command, b.Producing.Every, b.Start = "command", []string{"./list"}, time.Minute, false
	a := want.DefaultConsumer("a")
	a.Consumer, a.Command, a.Mode = "command", []string{"sh", "-c", "echo one\necho two\n", "5.0", "true", ""}, ModeLines
	want.Workers = []Worker{a, b}
	equal(t, c, want)

	if w, ok := c.Worker("a"); !ok || w.Queue() != "files" {
		t.Errorf("Worker(a) = %v, %v", w, ok)
	}
	if w, ok := c.Worker("b"); !ok || w.Queue() != "scans" {
		t.Errorf("Worker(b) = %v, %v", w, ok)
	}
	if _, ok := c.Worker("c"); ok {
		t.Error("there is a worker c")
	}
}

func TestFilesOfOtherSystemsAreRead(t *testing.T) {
	for name, text := range map[string]string{
		"carriage returns": "consumer:\r\n  n_tries: 5\r\n  n_time: 60\r\n",
		"byte order mark":  "\ufeffconsumer: {n_tries: 5, n_time: 60}",
		"document marks":   "---\nconsumer: {n_tries: 5, n_time: 60}\n...\n",
	} {
		if c := parse(t, text); c.Consumer.NTries != 5 || c.Consumer.NTime != time.Minute {
			t.Errorf("%s: %+v", name, c.Consumer)
		}
	}
}

func TestEveryValueIsReadAsItIsShown(t *testing.T) {
	c := Defaults()
	c.Serve.Hosts, c.Serve.ConfigDirs = []string{"a.example"}, []string{"/etc/holdfast", "/srv/with space"}
	c.Serve.TLS = TLS{"c.pem", "k.pem"}
	c.General.Machine = "node-a"
	c.Consumer.Pace = Range{7 * time.Second, 15 * time.Second}
	c.Cleaner.Keep.Failed = holdfast.Forever
	for _, k := range keys {
		got, err := Parse("f", []byte(nested(k.name, k.show(c))))
		var errs Errors
		if errors.As(err, &errs) && strings.HasPrefix(k.name, "serve.tls.") {
			continue // one of two
		}
		if err != nil {
			t.Errorf("%s is shown as %s: %v", k.name, k.show(c), err)
		} else if k.show(got) != k.show(c) {
			t.Errorf("%s is shown as %s and read as %s", k.name, k.show(c), k.show(got))
		}
	}
}

// nested writes a key with dots as the file has it.
func nested(name, value string) string {
	parts := strings.Split(name, ".")
	return strings.Join(parts, ": {") + ": " + value + strings.Repeat("}", len(parts)-1)
}

func TestValuesSayWhereTheyCameFrom(t *testing.T) {
	file := write(t, "consumer:\n  n_time: 60\n  n_tries: 5\ncleaner: {keep_done: 1h}\nqueues: {ocr: {keep_failed: 1d}}\nworkers:\n  ocr:\n    consumer: transform\n    lease: 10s\n  scans: {producer: generate}\n")
	c, err := Load(Sources{
		File: file, Environ: []string{"HOLDFAST_CONSUMER_N_TIME=2m", "HOLDFAST_STORE=env.db", "HOLDFAST_PRODUCER_EVERY=9s"},
		Flags: []Flag{{"store", "--store", "postgres://ana:secret@db/jobs"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range c.Values() {
		got[v.Key] = v.Text + " " + strings.ReplaceAll(v.Origin.String(), file, "FILE")
		if o := c.Origin(v.Key); o != v.Origin || o.IsDefault() != (o.String() == "default") {
			t.Errorf("origin of %s: %v, %v", v.Key, o, v.Origin)
		}
	}
	for key, want := range map[string]string{
		"store":                  "postgres://ana:••••••@db/jobs flag --store",
		"consumer.n_time":        "2m env HOLDFAST_CONSUMER_N_TIME",
		"consumer.n_tries":       "5 FILE:3",
		"consumer.lease":         "30s default",
		"cleaner.keep_done":      "1h FILE:4",
		"queues.ocr.keep_failed": "1d FILE:5",
		"queues.ocr.keep_done":   "1h FILE:4",
		"queues.ocr.keep_jobs":   "1000000 default",
		"workers.ocr.consumer":   "transform FILE:8",
		"workers.ocr.lease":      "10s FILE:9",
		"workers.ocr.n_time":     "2m env HOLDFAST_CONSUMER_N_TIME",
		"workers.ocr.n_tries":    "5 FILE:3",
		"workers.ocr.grace":      "25s default",
		"workers.scans.every":    "9s env HOLDFAST_PRODUCER_EVERY",
		"workers.scans.start":    "true default",
	} {
		if got[key] != want {
			t.Errorf("%s: %q, want %q", key, got[key], want)
		}
	}
	for _, absent := range []string{"workers.scans.n_time", "workers.scans.pattern", "workers.ocr.command"} {
		if _, is := got[absent]; is {
			t.Errorf("%s is shown; it means nothing there", absent)
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFlagsWinOverEnvironmentOverFileOverDefaults(t *testing.T) {
	file := write(t, "store: file.db\n")
	flags, environ := []Flag{{"store", "--store", "flag.db"}}, []string{"HOLDFAST_STORE=env.db"}
	for want, s := range map[string]Sources{
		"holdfast.db": {Environ: []string{"HOLDFAST_STORE=", "HOME=/root"}},
		"file.db":     {File: file, Environ: []string{"HOLDFAST_STORE="}},
		"env.db":      {File: file, Environ: environ},
		"flag.db":     {File: file, Environ: environ, Flags: flags},
	} {
		if c, err := Load(s); err != nil || c.Store != want {
			t.Errorf("%+v: %v, %v; want %s", s, c, err, want)
		}
	}
}

func TestEveryKeyHasAVariable(t *testing.T) {
	for name, text := range map[string]string{
		"HOLDFAST_GENERAL_PRIMARY_PATH": "data", "HOLDFAST_PRODUCER_HIGH_WATER": "7", "HOLDFAST_CONSUMER_PACE": "7s..15s",
		"HOLDFAST_CLEANER_KEEP_DONE": "forever", "HOLDFAST_SERVE_BEHIND_PROXY": "true", "HOLDFAST_SERVE_LOGS": "1GB",
	} {
		c, err := Load(Sources{Environ: []string{name + "=" + text}})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range c.Values() {
			if is := EnvName(v.Key) == name; is != (v.Origin.Env == name) || is && v.Text != text {
				t.Errorf("with %s=%s, %s is %s from %v", name, text, v.Key, v.Text, v.Origin)
			}
		}
	}
	c, err := Load(Sources{Environ: []string{"HOLDFAST_SERVE_HOSTS=a.example, b.example"}})
	if err != nil || !reflect.DeepEqual(c.Serve.Hosts, []string{"a.example", "b.example"}) {
		t.Errorf("hosts %q, %v", c.Serve.Hosts, err)
	}
}

func TestTheEnvironmentIsChecked(t *testing.T) {
	for line, want := range map[string]string{
		"HOLDFAST_CONSUMER_N_TIEM=60":      "the environment has HOLDFAST_CONSUMER_N_TIEM, which is no setting; did you mean HOLDFAST_CONSUMER_N_TIME?",
		"HOLDFAST_N_TIME=60":               "the environment has HOLDFAST_N_TIME, which is no setting; did you mean HOLDFAST_CONSUMER_N_TIME?",
		"HOLDFAST_WORKERS_OCR_N_TIME=60":   "the environment has HOLDFAST_WORKERS_OCR_N_TIME, which is no setting; workers and queues are set in the file alone",
		"HOLDFAST_CONSUMER_N_TIME=soon":    `HOLDFAST_CONSUMER_N_TIME is "soon": write 500ms, 30s, 5m, 24h, 7d or a number of seconds`,
		"HOLDFAST_CONSUMER_N_TRIES=0":      "HOLDFAST_CONSUMER_N_TRIES is 0: allowed are 1 to 1000",
		"HOLDFAST_SERVE_LISTEN=:8000":      `env HOLDFAST_SERVE_LISTEN: serve.listen is ":8000", which others can reach: set serve.tls, or serve.behind_proxy: true if a proxy in front does TLS`,
		"HOLDFAST_SERVE_TLS_CERT=c.pem":    "env HOLDFAST_SERVE_TLS_CERT: serve.tls has a cert but no key; it needs both",
		"HOLDFAST_STORE=redis://a:secret@": `HOLDFAST_STORE is "redis://a:••••••@": no store is known by redis://; write a file, postgres://user@host/db or http://host:8000`,
		"HOLDFAST_\x1b[2J=1":               `the environment has "HOLDFAST_\x1b[2J", which is no setting; holdfast config show lists what can be set`,
	} {
		_, err := Load(Sources{Environ: []string{line}})
		if err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", line, err, want)
		} else {
			sayNothingOfGo(t, err.Error())
		}
	}
	fine := []string{"HOLDFAST_JOB_ID=1", "HOLDFAST_QUEUE=q", "HOLDFAST_ATTEMPT=1", "HOLDFAST_ATTEMPTS=3", "HOLDFAST_LEASE=l", "HOLDFAST_FENCE=1",
		"HOLDFAST_IN=a", "HOLDFAST_OUT=b", "HOLDFAST_TEST_REQUIRE=all", "HOLDFAST_NOTHING=", "HOLDFASTER=1", "PATH=/bin", "broken"}
	c, err := Load(Sources{Environ: fine})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, c, Defaults())
}

func TestMistakesOfAllSourcesAreReportedTogether(t *testing.T) {
	_, err := Load(Sources{File: write(t, "store: 1\nconsumer: {n_tiem: 1}\nfoo: 1\n"), Environ: []string{"HOLDFAST_FOO=1", "HOLDFAST_BAR=1"}})
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 4 || errs[0].Line != 2 || errs[1].Line != 3 || errs[2].Line != 0 {
		t.Errorf("%v", err)
	}
	_, err = Parse("f", []byte("consumer:\n"+strings.Repeat("  x: 1\n", 30)))
	if err == nil || !strings.HasSuffix(err.Error(), "\nand 10 more") {
		t.Errorf("%v", err)
	}
}

func TestTheFileIsFoundByItself(t *testing.T) {
	t.Chdir(t.TempDir())
	c, err := Load(Sources{})
	if err != nil || c.File() != "" {
		t.Fatalf("%v, %v", c, err)
	}
	equal(t, c, Defaults())
	if err := os.WriteFile(DefaultFile, []byte("store: here.db\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if c, err = Load(Sources{}); err != nil || c.Store != "here.db" || c.File() != DefaultFile || c.Origin("store").String() != "holdfast.yaml:1" {
		t.Errorf("%+v, %v", c, err)
	}
	for file, want := range map[string]string{
		"missing.yaml": "missing.yaml: cannot read the config file: there is no such file",
		".":            ".: cannot read the config file: it is a folder",
	} {
		if _, err := Load(Sources{File: file}); err == nil || err.Error() != want || !errors.Is(err, holdfast.ErrInvalid) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
}

func TestWhatIsNoTextIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"store: a\xffb":                      "f:1:9: this is no UTF-8; save the file as UTF-8\n    1 | store: a\ufffdb\n      |         ^",
		"general: {machine: \"a\x1b[2J\"}":   "f:1:22: a control character (U+001B) does not belong in a config file\n    1 | general: {machine: \"a·[2J\"}\n      |                      ^",
		"\xff\xfes\x00t\x00o\x00":            "f:1:1: this is no UTF-8; save the file as UTF-8\n    1 | \ufffds·t·o·\n      | ^",
		"store: \u202ebd.tsafdloh\nfoo: 1\n": "f:2:1: there is no key foo in the file; there are store, general, producer, consumer, manager, cleaner, serve, queues and workers\n    2 | foo: 1\n      | ^",
	} {
		if _, err := Parse("f", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

func TestFilesAreBounded(t *testing.T) {
	for name, text := range map[string]string{
		"more than 1048576 bytes":         "# " + strings.Repeat("x", MaxBytes),
		"more than 20000 words and signs": strings.Repeat("a: 1\n", 10_000),
		"nested too deeply":               "store: " + strings.Repeat("[", 5_000),
		"lists and groups are nested":     "store: " + strings.Repeat("{a: ", 5_000),
		"nested too deeply here":          strings.Repeat("- ", 9_000),
		"a second document":               "store: a\n---\nstore: b\n",
	} {
		begin := time.Now()
		_, err := Parse("f", []byte(text))
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q, got %v", name, err)
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

func TestEngineHasAWordForZero(t *testing.T) {
	c := Defaults()
	e := c.Engine(c.Consumer)
	if e.Concurrency != 1 || e.Lease != 30*time.Second || e.Grace != 25*time.Second || e.MaxRun != time.Hour || e.MaxAttempts != 3 || e.MaxCrashes != 3 ||
		e.Keep != holdfast.DefaultRetention || e.SweepEvery != 5*time.Second || e.PurgeEvery != 30*time.Second || e.Pace() != 0 {
		t.Errorf("%+v", e)
	}
	if d := e.Backoff(1); d < 800*time.Millisecond || d > 1200*time.Millisecond {
		t.Errorf("first backoff %v", d)
	}
	c = parse(t, "consumer: {grace: 0, n_crashes: 0, pace: 1s..2s}\ncleaner: {keep_done: 0, keep_failed: forever, keep_jobs: 0}\nqueues: {a: {keep_cancelled: 0}}")
	e = c.Engine(c.Consumer)
	want := holdfast.Retention{Done: holdfast.No, Cancelled: 168 * time.Hour, Failed: holdfast.Forever, Jobs: holdfast.No}
	if e.Grace != holdfast.No || e.MaxCrashes != holdfast.No || e.Keep != want || e.KeepQueue["a"].Cancelled != holdfast.No {
		t.Errorf("%+v", e)
	}
	for range 100 {
		if d := e.Pace(); d < time.Second || d > 2*time.Second {
			t.Fatalf("pace %v", d)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Template())
	if archive, err := txtar.ParseFile("testdata/broken.txtar"); err == nil {
		for _, file := range archive.Files {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 20_000 {
			return
		}
		c, err := Parse("f", text)
		if err == nil {
			for _, v := range c.Values() {
				if v.Origin.Line < 0 || v.Origin.Line > bytes.Count(text, []byte("\n"))+1 {
					t.Errorf("%s is from line %d", v.Key, v.Origin.Line)
				}
			}
			return
		}
		var errs Errors
		if !errors.As(err, &errs) || len(errs) == 0 {
			t.Fatalf("%T: %v", err, err)
		}
		lines := bytes.Split(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\n"))
		for _, e := range errs {
			if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > len([]rune(string(lines[e.Line-1])))+2 {
				t.Errorf("place %d:%d of %d lines: %s", e.Line, e.Column, len(lines), e.Text)
			}
			if strings.ContainsAny(e.Text, "\n\x1b\x00") || len(e.Text) > 2000 {
				t.Errorf("message %q", e.Text)
			}
		}
	})
}
