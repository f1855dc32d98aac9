//go:build race

package integration_test

// buildArgs builds the binary with the race detector when the tests have it.
var buildArgs = []string{"build", "-race"}

// raceDetector is true where everything takes longer and more memory.
const raceDetector = true
