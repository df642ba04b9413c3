//go:build !linux

package sqlite

import "time"

// monotonicMS is the wall clock in milliseconds: the standard library shows no clock here that all processes share and
// that only goes on. The price: a step of the wall clock moves the leases that run at that moment. One forward looks to
// Sweep like a suspend, a gap without a sweep, after which leases get more time before any is ended; one back makes the
// leases of the dead that much longer. Consumers of this machine are known to be dead by their locks, without any clock.
func monotonicMS() int64 { return time.Now().UnixMilli() }
