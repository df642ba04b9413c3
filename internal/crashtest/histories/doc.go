// Package histories plays many clients against a store at once, writes down what each of them was told, and asks
// afterwards whether there is any order of the calls that explains it.
//
// Play makes a history: clients put, take, extend, finish, amend and look at jobs through several stores on the same
// data, while leases end, consumers die, answers are lost and stores are closed and opened again. Check looks for an
// order, for each job on its own, in which the state machine of a job's life (life.go) gives every answer that was given;
// a call of unknown outcome may have happened or not. Beside does the same calls, one after another, to two stores and
// compares the answers. Wakes says whether a put wakes who waits.
//
// The same package plants bugs in stores (see the tests), so that each of the three is known to see what it should.
//
//	go test ./internal/crashtest/histories -v                                              20 histories of 5,000 calls, half a minute
//	go test ./internal/crashtest/histories -run SQLite -v -histories 1000 -timeout 2h      more, from -seed on
//
// A history is one line of JSON. Its calls come from its seed; their order in time does not, so a seed that failed may
// have to be played a few times.
package histories
