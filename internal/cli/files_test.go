package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/internal/pipeline"
)

// failedFile makes a failed job with a *.failed file, as a consumer of files leaves it.
func failedFile(t *testing.T, p *person, folder string) (id, file string) {
	t.Helper()
	r := pipeline.Attachment{Path: "in/abcdefghij", Machine: host(), Folder: folder}
	file = filepath.Join(folder, r.Name())
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	r.Size, r.ModTime = info.Size(), info.ModTime().UTC()
	record, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	id = p.ok("put", "files", `{"path":"in/abcdefghij"}`)
	text, _ := p.take("files")
	lease, err := holdfast.ParseLease(text)
	if err != nil {
		t.Fatal(err)
	}
	finished, err := p.store.Finish(t.Context(), []holdfast.Outcome{{
		Lease: lease, Kind: holdfast.OutcomeFailed, Error: "no", Final: true, Attached: true, Result: record,
	}})
	if err != nil || finished[0].Err != nil {
		t.Fatal(err, finished)
	}
	return id, file
}

func TestARetryWhoseFileIsGoneIsRefused(t *testing.T) {
	p := newPerson(t)
	id, file := failedFile(t, p, t.TempDir())
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	p.fails(7, id+" left alone: it cannot be tried again: ", "retry", id)
	other := p.ok("put", "q", "1")
	p.ok("cancel", other)
	p.fails(7, "in/abcdefghij", "retry", id, other, "--yes")
	if p.out != "1 waits again, 1 skipped\n" {
		t.Errorf("got %q, want the other job retried", p.out)
	}
}

func TestARetryWhoseFileIsThereIsDone(t *testing.T) {
	p := newPerson(t)
	id, file := failedFile(t, p, t.TempDir())
	contains(t, p.ok("show", id), "file       "+file+"\n")
	if got := p.ok("retry", id); got != "1 waits again" {
		t.Errorf("got %q", got)
	}
}

func TestADeleteLeavesTheFileAndSaysSo(t *testing.T) {
	p := newPerson(t)
	id, file := failedFile(t, p, t.TempDir())
	p.ok("delete", id)
	contains(t, p.talk, "files of deleted jobs stay where they are, such as in/abcdefghij.failed")
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}
