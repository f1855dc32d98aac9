//go:build goexperiment.runtimesecret

package process

import (
	"runtime"
	"runtime/secret"
)

// Erasing runs f, which makes a key. What f leaves behind is zeroed at once, the
// copies that libraries make among it; the key is when it is no longer in use, by
// the next garbage collection. Package secret is an experiment of Go 1.26's, for
// Linux on amd64 and arm64.
func Erasing(f func()) {
	secret.Do(f)
	runtime.GC()
}
