package holdfast

import (
	"sync"
	"testing"
	"time"
)

func TestAJobIsEitherBegunOrGivenBack(t *testing.T) {
	config, err := Config{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	k := newKeeper(nil, config, nil)
	for range 20_000 {
		h := newHold(k, &Delivery{}, time.Now())
		var begun, given bool
		var both sync.WaitGroup
		both.Go(func() { begun = h.begin(nil) })
		both.Go(func() { given = h.letGo() })
		both.Wait()
		if begun == given {
			t.Fatalf("begun %v, given back %v: want one of them", begun, given)
		}
	}
}
