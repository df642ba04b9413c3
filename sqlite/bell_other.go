//go:build !linux && !darwin

package sqlite

import "sync"

// watch tells of rings and of changes of the WAL, until stop is called, which waits for the watcher's end. It looks
// four times a second.
func (b *bell) watch(walPath string) (events <-chan bellEvent, stop func(), err error) {
	ch, quit, done := make(chan bellEvent, 1), make(chan struct{}), make(chan struct{})
	look := b.looker(walPath)
	go func() {
		defer close(done)
		poll(look, ch, quit)
	}()
	return ch, sync.OnceFunc(func() { close(quit); <-done }), nil
}
