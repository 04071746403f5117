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

// endWithWrapper has the kernel kill the command when this process is killed: a signal that cannot be passed on.
func endWithWrapper(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// restoreDefault sets what a signal does to its default. For some signals the runtime of Go prints the stacks of all goroutines
// otherwise.
func restoreDefault(s syscall.Signal) {
	signal.Reset(s)
	var action [64]byte // a struct sigaction of zeros: SIG_DFL
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
}

// mirrorStops stops this process when the command is stopped, so that a shell takes the terminal back, and continues the command
// with it. The keyboard stops both; this is for a command that stops itself, such as an editor. It ends with the command.
func (p *process) mirrorStops() {
	if p.ownGroup {
		return
	}
	go func() {
		runtime.LockOSThread() // the signal is for this thread, so that it is stopped before the next line
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

// resume continues the command if it is stopped. A SIGCONT to one that runs could undo a stop that comes at the same time, of which
// this process and the shell would still know.
func (p *process) resume() {
	if info, err := wait(p.cmd.Process.Pid, unix.WNOHANG|unix.WNOWAIT); err == nil && info.Signo != 0 {
		p.send(unix.SIGCONT)
	}
}

// cldStopped is the code of a child that has been stopped (sigaction(2)).
const cldStopped = 5

// awaitStop waits until a child is stopped, and returns the signal that has stopped it. It returns 0 if the child has ended, which
// it does not reap.
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

// staysStopped reports whether a child that has been stopped is still stopped a moment later. If the keyboard has stopped it, this
// process was stopped too, and both are continued by now, one just after the other.
func staysStopped(pid int) bool {
	for range 3 {
		time.Sleep(3 * time.Millisecond)
		if info, err := wait(pid, unix.WNOHANG|unix.WNOWAIT); err != nil || info.Signo == 0 {
			return false
		}
	}
	return true
}

// wait returns the state of a stopped child.
func wait(pid, options int) (info unix.Siginfo, err error) {
	err = unix.Waitid(unix.P_PID, pid, &info, unix.WSTOPPED|options, nil)
	return info, err
}

// status returns si_status, which follows si_pid and si_uid.
func status(info *unix.Siginfo) syscall.Signal {
	const word = unsafe.Sizeof(uintptr(0))
	offset := (3*4+word-1)/word*word + 8
	return syscall.Signal(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}
