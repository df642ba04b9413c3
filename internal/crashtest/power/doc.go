// Package power cuts the power of a store, kills it and lets its disk fail, at every point that matters, and checks what
// is left. All of it is in its tests.
package power
