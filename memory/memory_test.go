package memory_test

import (
	"testing"

	"github.com/holdfastq/holdfast/memory"
	"github.com/holdfastq/holdfast/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		s := memory.New()
		t.Cleanup(func() { s.Close() })
		return storetest.Harness{Store: s, Shift: s.Shift}
	})
}
