//go:build !goexperiment.runtimesecret

package main

// erasing runs f, which makes a key. What libraries leave behind stays until its
// place is needed, unless the build is one with GOEXPERIMENT=runtimesecret.
func erasing(f func()) { f() }
