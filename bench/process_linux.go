package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// own keeps a terminal's interrupt from cmd, which only this program is to stop,
// and has it end with this program.
func own(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// family returns a process and its children, such as nginx's workers.
func family(parent int) []int {
	pids := []int{parent}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// The command's name stands in parentheses and may hold spaces.
		_, rest, _ := bytes.Cut(text, []byte(") "))
		fields := bytes.Fields(rest)
		if len(fields) > 1 && string(fields[1]) == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// cpuTime returns the CPU time that the processes have used, in user and kernel
// mode, all threads together. It is read from their CPU clocks, which count
// nanoseconds; /proc/PID/stat has the same in ticks of 10 ms.
func cpuTime(pids []int) (time.Duration, error) {
	const schedulerClock = 2 // CPUCLOCK_SCHED of the kernel
	var sum time.Duration
	for _, pid := range pids {
		var t syscall.Timespec
		_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(^pid<<3|schedulerClock), uintptr(unsafe.Pointer(&t)), 0)
		if errno != 0 {
			return 0, fmt.Errorf("reading the CPU clock of process %d: %w", pid, errno)
		}
		sum += time.Duration(t.Nano())
	}
	return sum, nil
}

// memory returns a field of /proc/PID/status, summed over the processes, in
// bytes: VmRSS is what is resident, VmHWM the highest that ever was.
func memory(pids []int, field string) (int64, error) {
	var sum int64
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, err
		}
		kilobytes, err := statusField(text, field)
		if err != nil {
			return 0, err
		}
		sum += kilobytes << 10
	}
	return sum, nil
}

func statusField(status []byte, field string) (int64, error) {
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), field+":"); ok {
			return strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
		}
	}
	return 0, fmt.Errorf("no %s in the status of a process", field)
}

// sleepUntil sleeps as exactly as the kernel can; Go's own timers are up to a
// millisecond late in a process that is idle.
func sleepUntil(t time.Time) {
	for left := time.Until(t); left > 0; left = time.Until(t) {
		interval := syscall.NsecToTimespec(int64(left))
		syscall.Nanosleep(&interval, nil)
	}
}
