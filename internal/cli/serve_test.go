package cli

import "testing"

// TestHintsAreAsTheCommandWasStarted: what go run has built has no name to type.
func TestHintsAreAsTheCommandWasStarted(t *testing.T) {
	t.Chdir(root)
	for program, want := range map[string]string{
		"holdfast": "holdfast", "./holdfast": "./holdfast", "/tmp/go-build1234/b001/exe/holdfast": "go run ./cmd/holdfast",
	} {
		if got := startedAs(program); got != want {
			t.Errorf("started as %s the hints say %q, want %q", program, got, want)
		}
	}
	p := newPerson(t)
	p.fails(2, "the smaller one comes first: 7s..15s", "serve", "--demo", "--pace", "15s..7s")
	p.fails(2, "--every must be longer than nothing", "serve", "--demo", "--every", "0")
}
