package wrap

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxrssUnit is the unit of ru_maxrss in bytes (getrusage(2)).
const maxrssUnit = 1024

// endWithWrapper makes the kernel kill the command when this process is killed, because SIGKILL cannot be passed on.
func endWithWrapper(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// restoreDefault resets a signal to its default action. Without this, Go's runtime prints the stacks of all goroutines for
// some signals.
func restoreDefault(s syscall.Signal) {
	signal.Reset(s)
	var action [64]byte // a zero struct sigaction means SIG_DFL
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
}

// mirrorStops stops this process when the command is stopped, so that the shell takes the terminal back. It continues the
// command when this process is continued. The keyboard stops both processes; mirrorStops is for a command that stops itself,
// such as an editor. The goroutine ends with the command.
func (p *process) mirrorStops() {
	if p.ownGroup {
		return
	}
	go func() {
		runtime.LockOSThread() // the signal is sent to this thread, so the thread is stopped before it runs the next line
		defer runtime.UnlockOSThread()
		pid := p.cmd.Process.Pid
		for {
			s := awaitStop(pid)
			if s == 0 {
				return
			}
			_ = unix.Tgkill(os.Getpid(), unix.Gettid(), s)
			p.resume()
		}
	}()
}

// resume continues the command if it is stopped. A SIGCONT to a running command could undo a stop that arrives at the same
// time. This process and the shell would then still take the command for stopped.
func (p *process) resume() {
	if info, err := wait(p.cmd.Process.Pid, unix.WNOHANG|unix.WNOWAIT); err == nil && info.Signo != 0 {
		p.send(unix.SIGCONT)
	}
}

// cldStopped is si_code of a child that was stopped (sigaction(2)).
const cldStopped = 5

// awaitStop waits until a child is stopped, and returns the signal that has stopped it. It returns 0 if the child has ended.
// It does not reap the child.
func awaitStop(pid int) syscall.Signal {
	for {
		info, err := wait(pid, unix.WEXITED|unix.WNOWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || info.Code != cldStopped:
			return 0
		case staysStopped(pid):
			if info, err := wait(pid, unix.WNOHANG|unix.WNOWAIT); err == nil && info.Signo != 0 {
				return status(&info)
			}
		}
	}
}

// staysStopped reports whether a child that was stopped is still stopped a moment later. If the keyboard has stopped the
// child, it has stopped this process too. The shell has then continued both, shortly after one another.
func staysStopped(pid int) bool {
	for range 3 {
		time.Sleep(3 * time.Millisecond)
		if info, err := wait(pid, unix.WNOHANG|unix.WNOWAIT); err != nil || info.Signo == 0 {
			return false
		}
	}
	return true
}

// wait returns information on a stopped child.
func wait(pid, options int) (info unix.Siginfo, err error) {
	err = unix.Waitid(unix.P_PID, pid, &info, unix.WSTOPPED|options, nil)
	return info, err
}

// status returns the field si_status. This field follows si_pid and si_uid.
func status(info *unix.Siginfo) syscall.Signal {
	const word = unsafe.Sizeof(uintptr(0))
	offset := (3*4+word-1)/word*word + 8
	return syscall.Signal(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}
