package wrap

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"syscall"
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
			_ = unix.Kill(pid, unix.SIGCONT) // fails if it has ended
		}
	}()
}

// cldStopped is the code of a child that has been stopped (sigaction(2)).
const cldStopped = 5

// awaitStop waits until a child is stopped, and returns the signal that has stopped it. It returns 0 if the child has ended, which
// it does not reap.
func awaitStop(pid int) syscall.Signal {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || info.Code != cldStopped {
			return 0
		}
		// It may have been continued since, together with this process.
		info = unix.Siginfo{}
		if err := unix.Waitid(unix.P_PID, pid, &info, unix.WSTOPPED|unix.WNOHANG, nil); err == nil && info.Signo != 0 {
			return status(&info)
		}
	}
}

// status returns si_status, which follows si_pid and si_uid.
func status(info *unix.Siginfo) syscall.Signal {
	const word = unsafe.Sizeof(uintptr(0))
	offset := (3*4+word-1)/word*word + 8
	return syscall.Signal(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}
