//go:build !unix

package pipeline

import "testing"

func makePipe(t *testing.T, _ string) { t.Skip("no pipes with names here") }
