package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a running program.
type process struct {
	cmd  *exec.Cmd
	log  string        // path of the file with its output
	done chan struct{} // is closed when the process has ended
	err  error         // result of Wait; valid once done is closed
}

// start starts a command in a directory. The kernel kills the process when this program dies.
func start(dir, log string, argv []string) (*process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), log: log, done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, file, file
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop sends a signal to a process so that it ends. If the process has not ended after 15 seconds, stop sends SIGKILL.
func (p *process) stop(by syscall.Signal) {
	_ = p.cmd.Process.Signal(by) // an error means that the process has already ended
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

func (p *process) isRunning() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// tail returns the end of the process's output.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-600):])
}

// clockTick is the unit of times in /proc/PID/stat. Since Linux 2.6, user space sees 100 ticks per second on all machines.
const clockTick = 10 * time.Millisecond

// cpu returns the user and system time of all processes together.
func cpu(all []*process) (sum time.Duration, err error) {
	for _, p := range all {
		f, err := statFields(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		if err != nil {
			return 0, err
		}
		for _, field := range f[11:15] { // utime and stime, and the times of children that have ended
			n, err := strconv.Atoi(field)
			if err != nil {
				return 0, err
			}
			sum += time.Duration(n) * clockTick
		}
	}
	return sum, nil
}

// statFields returns the fields of /proc/PID/stat after the name of the command, see proc_pid_stat(5).
func statFields(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 20 {
		return nil, fmt.Errorf("%s: %d fields", path, len(f))
	}
	return f, nil
}

// largestMemory returns the sum of the processes' largest resident memory since their start, in bytes.
func largestMemory(all []*process) (sum int64) {
	for _, p := range all {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
				kib, _ := strconv.ParseInt(f[1], 10, 64)
				sum += kib << 10
			}
		}
	}
	return sum
}

// busy returns two times since the machine started: how long its cores have worked ("used"), and, on a virtual machine, how long the host
// has used the cores for other work ("stolen").
func busy() (used, stolen time.Duration) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		n, _ := strconv.ParseInt(field, 10, 64)
		switch t := time.Duration(n) * clockTick; i {
		case 1, 2, 3, 6, 7: // user, nice, system, irq, softirq
			used += t
		case 8:
			stolen = t
		}
	}
	return used, stolen
}

// own returns the user and system time of this process.
func own() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// size returns the size of all files together, in bytes.
func size(paths []string) (sum int64) {
	for _, p := range paths {
		if resolved, err := filepath.EvalSymlinks(p); err == nil {
			p = resolved
		}
		if info, err := os.Stat(p); err == nil {
			sum += info.Size()
		}
	}
	return sum
}
