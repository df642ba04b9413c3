//go:build !linux && !darwin

package sqlite

// bootID names this run of the machine; it cannot be known here. Consumers of before are known to be dead by their
// locks all the same.
func bootID() string { return "" }
