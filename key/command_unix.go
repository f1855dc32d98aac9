//go:build unix

package key

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// setApart has cmd run in a session of its own, to be killed with all that it
// starts: of a script that hangs, the hanging part is a child. It also has no
// terminal, so that one that asks for a PIN there fails at once and says so.
func setApart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return killAll(cmd) }
}

// killAll kills what is left of the processes of cmd.
func killAll(cmd *exec.Cmd) error {
	err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
