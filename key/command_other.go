//go:build !unix

package key

import "os/exec"

// setApart does nothing: there are no groups of processes.
func setApart(*exec.Cmd) {}

// killAll kills cmd.
func killAll(cmd *exec.Cmd) error { return cmd.Process.Kill() }
