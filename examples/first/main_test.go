package main

import (
	"path/filepath"
	"testing"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/sqlite"
)

func TestTheFirstJobIsDone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "first.db")
	if err := run(file); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.OpenExisting(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	counts, err := store.Counts(t.Context())
	if err != nil || len(counts) != 1 || counts[0].Of(holdfast.Done) != 1 {
		t.Errorf("counts are %+v, %v; want one job done", counts, err)
	}
}
