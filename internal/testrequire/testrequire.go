// Package testrequire keeps a test that lacks something of its machine from passing in silence: where the thing was
// called for, its absence is a failure.
package testrequire

import (
	"os"
	"strings"
	"testing"
)

// Env names the environment variable with the words, separated by commas, of what a machine must offer to tests:
// strace, fuse, chromium, postgres and the like. The word all stands for every word.
const Env = "HOLDFAST_TEST_REQUIRE"

// Skip ends a test that cannot run here. It skips and says why; if Env names the word, it fails instead.
func Skip(t testing.TB, word, why string) {
	t.Helper()
	if Named(word) {
		t.Fatalf("%s, and %s requires %s", why, Env, word)
	}
	t.Skipf("%s (set %s=%s to make this a failure)", why, Env, word)
}

// Named says whether Env calls for the word.
func Named(word string) bool {
	for want := range strings.SplitSeq(os.Getenv(Env), ",") {
		if want = strings.TrimSpace(want); want == word || want == "all" {
			return true
		}
	}
	return false
}
