package sqlite

import (
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func TestTurnHasOneHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), turnName)
	var inside, took atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			mine, err := openTurn(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer mine.close()
			for range 200 {
				if err := mine.take(); err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d hold the turn", n)
				}
				took.Add(1)
				inside.Add(-1)
				if err := mine.give(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if got := took.Load(); got != 8*200 {
		t.Errorf("turn was taken %d times, want %d", got, 8*200)
	}
}

func TestTurnIsGivenByClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), turnName)
	one, err := openTurn(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := one.take(); err != nil {
		t.Fatal(err)
	}
	if err := one.close(); err != nil {
		t.Fatal(err)
	}
	two, err := openTurn(path)
	if err != nil {
		t.Fatal(err)
	}
	defer two.close()
	if err := two.take(); err != nil { // would wait for ever
		t.Fatal(err)
	}
	if err := two.give(); err != nil {
		t.Fatal(err)
	}
}
