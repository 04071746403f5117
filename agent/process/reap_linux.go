package process

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Reap reaps orphans until ctx ends, if this process is process 1 of a container: the kernel makes it their parent, and each of them
// stays a zombie until then. It returns an error if it cannot.
//
// It leaves alone what may be a child of this process that somebody waits for. A child leads a process group of its own, or is in
// the group of this process; all others are orphans. A leader that stays a zombie for some seconds is an orphan too: what waits
// for a child reaps it at once.
func Reap(ctx context.Context) error {
	if os.Getpid() != 1 {
		return nil
	}
	if self, err := os.Readlink("/proc/self"); err != nil || self != "1" {
		return errors.New("cannot reap orphans: /proc is not mounted, or is not that of this container")
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	r := reaper{group: syscall.Getpgrp(), seen: map[zombie]sighting{}}
	for {
		var again <-chan time.Time
		if r.reap(time.Now()) {
			again = time.After(patience)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
		case <-again:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(reapPause):
		}
	}
}

// How a zombie that may be a child is taken for an orphan: after looks at it that lie patience apart. One look after a long time is
// not enough, since the container may have been frozen.
const (
	patience  = time.Second
	looks     = 5
	reapPause = 100 * time.Millisecond // between two looks at /proc
)

// zombie is a process that has ended and was not reaped.
type zombie struct {
	pid     int
	started string // in clock ticks since the start of the machine: distinguishes it from a later process with the same pid
}

type sighting struct {
	looks int
	last  time.Time // the last look that was counted
}

// reaper reaps the orphans of process 1.
type reaper struct {
	group int // of this process
	seen  map[zombie]sighting
}

// reap reaps all orphans. It reports whether there are zombies that may turn out to be orphans.
func (r *reaper) reap(now time.Time) (left bool) {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return true // such as without a file descriptor; the next look may succeed
	}
	seen := map[zombie]sighting{}
	for _, name := range names {
		pid, err := strconv.Atoi(name.Name())
		if err != nil {
			continue
		}
		z, leads, group, found := r.look(pid)
		if !found || group == r.group {
			continue
		}
		if leads {
			s := r.seen[z]
			if now.Sub(s.last) >= patience {
				s = sighting{s.looks + 1, now}
			}
			if s.looks < looks {
				seen[z] = s
				continue
			}
		}
		_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // fails if somebody has reaped it meanwhile
	}
	r.seen = seen
	return len(seen) > 0
}

// look reads what the kernel says of a process (proc_pid_stat(5)), and reports whether it is a zombie that this process has to reap.
func (r *reaper) look(pid int) (z zombie, leads bool, group int, found bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return z, false, 0, false // it has ended
	}
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndex(text, ")")+1:]) // what stands before is a name, which may have anything in it
	if len(fields) < 20 || fields[0] != "Z" || fields[1] != "1" {
		return z, false, 0, false
	}
	group, err = strconv.Atoi(fields[2])
	return zombie{pid, fields[19]}, group == pid, group, err == nil
}
