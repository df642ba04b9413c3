package sqlite

import (
	"context"
	"fmt"
	"sync"

	"github.com/holdfastq/holdfast"
)

// maxReaders is how many reads run at once.
const maxReaders = 4

// readers are connections that only read. What they see is a snapshot, and a short one: an old snapshot keeps the WAL
// from being emptied.
type readers struct {
	path  string
	slots chan struct{}

	mu     sync.Mutex
	free   []*conn
	age    int // of connections that may be used again
	ages   map[*conn]int
	closed bool
}

func newReaders(path string) *readers {
	return &readers{path: path, slots: make(chan struct{}, maxReaders), ages: map[*conn]int{}}
}

// read runs f on a connection of its own, in one snapshot.
func (r *readers) read(ctx context.Context, f func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.slots }()
	c, err := r.take()
	if err != nil {
		return err
	}
	defer r.give(c)
	return translate(r.path, snapshot(c, f))
}

func snapshot(c *conn, f func(*conn) error) error {
	if _, err := c.exec("begin"); err != nil {
		return err
	}
	err := f(c)
	if _, end := c.exec("commit"); err == nil {
		err = end
	}
	if !c.autocommit() {
		c.exec("rollback")
	}
	return err
}

func (r *readers) take() (*conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, holdfast.ErrClosed
	}
	if n := len(r.free); n > 0 {
		c := r.free[n-1]
		r.free = r.free[:n-1]
		return c, nil
	}
	c, err := openReader(r.path)
	if err != nil {
		return nil, translate(r.path, err)
	}
	r.ages[c] = r.age
	return c, nil
}

func (r *readers) give(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.ages[c] != r.age {
		delete(r.ages, c)
		c.close()
		return
	}
	r.free = append(r.free, c)
}

// renew has every connection opened anew: those in use are closed when they come back.
func (r *readers) renew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.age++
	r.drop()
}

// current is the age of connections that may still be used.
func (r *readers) current() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.age
}

func (r *readers) drop() {
	for _, c := range r.free {
		delete(r.ages, c)
		c.close()
	}
	r.free = nil
}

// close waits for the reads under way.
func (r *readers) close() {
	r.mu.Lock()
	r.closed = true
	r.drop()
	r.mu.Unlock()
	for range maxReaders {
		r.slots <- struct{}{}
	}
	for range maxReaders {
		<-r.slots
	}
}

const readerSettings = `
	pragma busy_timeout = 10000;
	pragma query_only = on;
	pragma cache_size = -8192;
	pragma temp_store = memory;`

func openReader(path string) (*conn, error) {
	c, err := openConn(path, true)
	if err != nil {
		return nil, err
	}
	if err := c.script(readerSettings); err != nil {
		c.close()
		return nil, fmt.Errorf("set up a reader: %w", err)
	}
	return c, nil
}
