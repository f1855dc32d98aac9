//go:build !goexperiment.runtimesecret

package process

// Erasing runs f, which makes a key. What libraries leave behind stays until its
// place is needed, unless the build is one with GOEXPERIMENT=runtimesecret.
func Erasing(f func()) { f() }
