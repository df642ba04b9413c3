package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/holdfastq/holdfast/internal/config"
	"github.com/holdfastq/holdfast/internal/pipeline"
)

// TestTheFileHasTheDefaultsOfThePipeline: both say them, because neither knows the other.
func TestTheFileHasTheDefaultsOfThePipeline(t *testing.T) {
	c := config.Defaults()
	if c.Producer.Queue != pipeline.DefaultQueue || c.Consumer.Queue != pipeline.DefaultQueue {
		t.Errorf("queues %s and %s, want %s", c.Producer.Queue, c.Consumer.Queue, pipeline.DefaultQueue)
	}
	if c.Producer.Every != pipeline.DefaultEvery || c.Producer.HighWater != pipeline.DefaultHighWater {
		t.Errorf("every %v, high water %d, want %v, %d", c.Producer.Every, c.Producer.HighWater, pipeline.DefaultEvery, pipeline.DefaultHighWater)
	}
	if dir := c.DefaultConsumer("x").Dir; dir != pipeline.DefaultOut {
		t.Errorf("outputs go to %s, want %s", dir, pipeline.DefaultOut)
	}
	if "./"+c.Store != defaultStore {
		t.Errorf("the store is %s, want %s", c.Store, defaultStore)
	}
}

// TestThePageOnTheConfigIsTrue: the files that it shows are accepted, and it names every key and variable there is.
func TestThePageOnTheConfigIsTrue(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "docs", "config.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	files := blocks(page, "yaml")
	if len(files) < 2 {
		t.Errorf("the page has %d files", len(files))
	}
	all := config.Defaults().Values()
	for _, f := range files {
		c, err := config.Parse("docs/config.md", []byte(f))
		if err != nil {
			t.Errorf("the page shows what is not accepted: %v", err)
			continue
		}
		all = append(all, c.Values()...)
	}
	for _, v := range all {
		key := v.Key[strings.LastIndexByte(v.Key, '.')+1:]
		if !regexp.MustCompile(`\b` + key + `\b`).MatchString(page) {
			t.Errorf("the page does not have %s", v.Key)
		}
	}
	for _, name := range regexp.MustCompile(`HOLDFAST_[A-Z_]+=\S+?\b`).FindAllString(page, -1) {
		if _, err := config.Load(config.Sources{Environ: []string{name}}); err != nil {
			t.Errorf("the page sets %s: %v", name, err)
		}
	}
}
