//go:build !race

package power

const raceDetector = false
