// Package crashtest tortures a store with processes that are killed, frozen and woken at bad moments, and checks what is
// left. Its tests start their own test binary again in other roles, so that each producer and consumer is a real process;
// everything that happens is written down by those to whom it happened, and compared afterwards.
//
//	go test ./internal/crashtest                                          a minute, fit for every change
//	go test ./internal/crashtest -full -timeout 30m -run TestTorture -v   100,000 jobs, 200 kills
//
// Figures are printed as one line of JSON each. Their bounds hold without the race detector, and are not asserted
// with it.
package crashtest
