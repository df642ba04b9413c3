package config

import (
	"slices"
	"time"

	"github.com/holdfastq/holdfast"
)

// key is one thing that can be set, of a struct S. All that is known of a key follows from its line below: how the file
// and the environment say it, its bounds, how it is shown, and its place in the schema.
type key[S any] struct {
	name   string // with dots: consumer.n_time
	form   form
	set    func(s *S, words []string) error
	show   func(s *S) string
	json   func(s *S) any
	schema schema
}

func of[S, T any](name string, k kind[T], at func(*S) *T) key[S] {
	json := func(s *S) any { return k.show(*at(s)) }
	if k.json != nil {
		json = func(s *S) any { return k.json(*at(s)) }
	}
	return key[S]{
		name: name, form: k.form, schema: k.schema, json: json,
		show: func(s *S) string { return k.show(*at(s)) },
		set: func(s *S, words []string) error {
			v, err := k.read(words)
			if err == nil {
				*at(s) = v
			}
			return err
		},
	}
}

// under moves keys of a part into the whole, under a name.
func under[S, T any](prefix string, keys []key[T], at func(*S) *T) []key[S] {
	out := make([]key[S], len(keys))
	for i, k := range keys {
		out[i] = key[S]{
			name: prefix + k.name, form: k.form, schema: k.schema,
			set:  func(s *S, words []string) error { return k.set(at(s), words) },
			show: func(s *S) string { return k.show(at(s)) },
			json: func(s *S) any { return k.json(at(s)) },
		}
	}
	return out
}

const shortest = 10 * time.Millisecond // pause of a loop

var producerKeys = []key[Producer]{
	of("queue", text(checkQueue), func(p *Producer) *string { return &p.Queue }),
	of("every", span(shortest, century), func(p *Producer) *time.Duration { return &p.Every }),
	of("high_water", whole(0, maxCount), func(p *Producer) *int { return &p.HighWater }),
}

var consumerKeys = []key[Consumer]{
	of("queue", text(checkQueue), func(c *Consumer) *string { return &c.Queue }),
	of("n_time", span(shortest, century), func(c *Consumer) *time.Duration { return &c.NTime }),
	of("n_tries", whole(1, holdfast.MaxAttemptsBound), func(c *Consumer) *int { return &c.NTries }),
	of("n_crashes", whole(0, 1000), func(c *Consumer) *int { return &c.NCrashes }),
	of("concurrency", whole(1, 10_000), func(c *Consumer) *int { return &c.Concurrency }),
	of("pace", spans(0, 24*time.Hour), func(c *Consumer) *Range { return &c.Pace }),
	of("backoff", spans(shortest, holdfast.MaxDelay), func(c *Consumer) *Range { return &c.Backoff }),
	of("lease", span(holdfast.MinLease, holdfast.MaxLease), func(c *Consumer) *time.Duration { return &c.Lease }),
	of("grace", span(0, 24*time.Hour), func(c *Consumer) *time.Duration { return &c.Grace }),
}

var retentionKeys = []key[holdfast.Retention]{
	of("keep_done", kept, func(r *holdfast.Retention) *time.Duration { return &r.Done }),
	of("keep_cancelled", kept, func(r *holdfast.Retention) *time.Duration { return &r.Cancelled }),
	of("keep_failed", kept, func(r *holdfast.Retention) *time.Duration { return &r.Failed }),
	of("keep_jobs", whole(0, maxCount), func(r *holdfast.Retention) *int { return &r.Jobs }),
}

// keys is everything that has one name in all files; queues and workers have names of their own.
var keys = slices.Concat(
	[]key[Config]{
		of("store", text(checkStore), func(c *Config) *string { return &c.Store }),
		of("general.primary_path", text(checkFile), func(c *Config) *string { return &c.General.PrimaryPath }),
		of("general.machine", text(checkMachine), func(c *Config) *string { return &c.General.Machine }),
	},
	under("producer.", producerKeys, func(c *Config) *Producer { return &c.Producer }),
	under("consumer.", consumerKeys, func(c *Config) *Consumer { return &c.Consumer }),
	[]key[Config]{
		of("manager.every", span(shortest, 24*time.Hour), func(c *Config) *time.Duration { return &c.Manager.Every }),
		of("cleaner.every", span(shortest, 24*time.Hour), func(c *Config) *time.Duration { return &c.Cleaner.Every }),
	},
	under("cleaner.", retentionKeys, func(c *Config) *holdfast.Retention { return &c.Cleaner.Keep }),
	[]key[Config]{
		of("serve.listen", text(checkListen), func(c *Config) *string { return &c.Serve.Listen }),
		of("serve.tls.cert", text(checkFile), func(c *Config) *string { return &c.Serve.TLS.Cert }),
		of("serve.tls.key", text(checkFile), func(c *Config) *string { return &c.Serve.TLS.Key }),
		of("serve.behind_proxy", yesNo, func(c *Config) *bool { return &c.Serve.BehindProxy }),
		of("serve.hosts", list(checkHost), func(c *Config) *[]string { return &c.Serve.Hosts }),
		of("serve.config_dirs", list(checkConfigDir), func(c *Config) *[]string { return &c.Serve.ConfigDirs }),
		of("serve.logs", size(1e6, 1e15), func(c *Config) *int64 { return &c.Serve.Logs }),
	},
)

// Roles of a worker, and their keys.
const (
	producer = "producer"
	consumer = "consumer"
)

var roleKeys = []key[Worker]{
	of(producer, choice("generate", "watch", "command"), func(w *Worker) *string { return &w.Producer }),
	of(consumer, choice("transform", "command"), func(w *Worker) *string { return &w.Consumer }),
}

var workerKeys = map[string][]key[Worker]{
	producer: slices.Concat(roleKeys[:1], ownKeys("dir", "pattern", "command", "start", "env"),
		under("", producerKeys, func(w *Worker) *Producer { return &w.Producing })),
	consumer: slices.Concat(roleKeys[1:], ownKeys("dir", "command", "then", "start", "env", "mode"),
		under("", consumerKeys, func(w *Worker) *Consumer { return &w.Consuming })),
}

// ownKeys picks keys that only workers have.
func ownKeys(names ...string) []key[Worker] {
	all := []key[Worker]{
		of("dir", text(checkDir), func(w *Worker) *string { return &w.Dir }),
		of("pattern", text(checkPattern), func(w *Worker) *string { return &w.Pattern }),
		of("command", list(checkArgument), func(w *Worker) *[]string { return &w.Command }),
		of("then", text(checkQueue), func(w *Worker) *string { return &w.Then }),
		of("start", yesNo, func(w *Worker) *bool { return &w.Start }),
		of("env", list(checkVariable), func(w *Worker) *[]string { return &w.Env }),
		of("mode", choice(ModeJob, ModeLines), func(w *Worker) *string { return &w.Mode }),
	}
	return slices.DeleteFunc(all, func(k key[Worker]) bool { return !slices.Contains(names, k.name) })
}

// onlyFor says which kinds of producers and consumers use a key that not all of their role do.
var onlyFor = map[string][]string{
	"producer.dir":     {"generate", "watch"},
	"producer.pattern": {"watch"},
	"producer.command": {"command"},
	"producer.env":     {"command"},
	"producer.every":   {"generate", "command"},
	"consumer.command": {"command"},
	"consumer.mode":    {"command"},
}

func find[S any](keys []key[S], name string) (key[S], bool) {
	for _, k := range keys {
		if k.name == name {
			return k, true
		}
	}
	return key[S]{}, false
}
