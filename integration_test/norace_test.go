//go:build !race

package integration_test

var buildArgs = []string{"build"}

const raceDetector = false
