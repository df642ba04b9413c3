//go:build race

package power

const raceDetector = true
