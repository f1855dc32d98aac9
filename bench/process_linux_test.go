package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
)

// CPU time is that of all threads of another process, and of it alone. What the
// kernel tells its parent when it has ended is the truth.
func TestCPUTime(t *testing.T) {
	idle, _ := startChild(t, "cat")
	busy, output := startChild(t, "sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; read wait")
	if _, err := bufio.NewReader(output).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	counted := cpuTimeOf(t, busy.Process.Pid)
	if got := cpuTimeOf(t, idle.Process.Pid, busy.Process.Pid); got < counted {
		t.Errorf("CPU time of both = %v, of one %v", got, counted)
	}
	busy.Process.Kill()
	busy.Wait()
	usage := busy.ProcessState.SysUsage().(*syscall.Rusage)
	whole := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	if counted > whole*11/10 || counted < whole*9/10 {
		t.Errorf("CPU time = %v, at its end it was %v", counted, whole)
	}
	if _, err := cpuTime([]int{busy.Process.Pid}); err == nil {
		t.Error("CPU time of a process that has ended is no error")
	}
}

func cpuTimeOf(t *testing.T, pids ...int) time.Duration {
	t.Helper()
	used, err := cpuTime(pids)
	if err != nil {
		t.Fatal(err)
	}
	return used
}

// startChild starts a child that waits on its input when it has nothing to do,
// and returns what it prints.
func startChild(t *testing.T, name string, args ...string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command(name, args...)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, output
}

// Workers count as their parent does.
func TestFamily(t *testing.T) {
	child, _ := startChild(t, "cat")
	got := family(os.Getpid())
	if got[0] != os.Getpid() || !slices.Contains(got, child.Process.Pid) {
		t.Errorf("family = %v, want %d and its child %d", got, os.Getpid(), child.Process.Pid)
	}
}

func TestMemory(t *testing.T) {
	const status = "Name:\tcat\nVmPeak:\t   9 kB\nVmHWM:\t   1234 kB\nVmRSS:\t    567 kB\n"
	for field, want := range map[string]int64{"VmHWM": 1234, "VmRSS": 567} {
		if got, err := statusField([]byte(status), field); got != want || err != nil {
			t.Errorf("%s = %d, %v, want %d", field, got, err, want)
		}
	}
	if _, err := statusField([]byte(status), "VmSwap"); err == nil {
		t.Error("a field that is not there is no error")
	}
	if got, err := memory([]int{os.Getpid(), os.Getpid()}, "VmRSS"); err != nil || got < 2<<20 {
		t.Errorf("memory of two = %d, %v", got, err)
	}
}
