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

// Reap reaps orphans until ctx ends, if this process is process 1 of a container. The kernel makes process 1 the parent of orphans,
// which stay zombies until they are reaped. Reap returns an error if it cannot do this.
//
// Reap does not reap processes that may be children of this process, since other code waits for them. A child is the leader of its own
// process group, or is in the group of this process; all other processes are orphans. A leader that stays a zombie for some seconds is also
// an orphan, since code that waits for a child reaps it at once.
func Reap(ctx context.Context) error {
	if os.Getpid() != 1 {
		return nil
	}
	if self, err := os.Readlink("/proc/self"); err != nil || self != "1" {
		return errors.New("cannot clean up processes that commands leave behind: mount /proc of this container; without it, zombie processes pile up")
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

// A zombie that may be a child is treated as an orphan after it was seen several times ("looks"), at intervals of at least "patience". To
// see it again just once, after a long time, is not enough, since the container may have been frozen.
const (
	patience  = time.Second
	looks     = 5
	reapPause = 100 * time.Millisecond // time between two searches of /proc
)

// zombie is a process that has ended and was not reaped.
type zombie struct {
	pid     int
	started string // in clock ticks since the start of the machine; together with the pid, this time identifies the process, since pids are reused
}

type sighting struct {
	looks int
	last  time.Time // when the process was last seen and counted
}

// reaper reaps the orphans of process 1.
type reaper struct {
	group int // process group of this process
	seen  map[zombie]sighting
}

// reap reaps all orphans. It reports whether there are zombies that may be orphans.
func (r *reaper) reap(now time.Time) (left bool) {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return true // for example, no file descriptor is free; the next search may succeed
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
		_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // an error means that other code has reaped it meanwhile
	}
	r.seen = seen
	return len(seen) > 0
}

// look reads the status of a process (proc_pid_stat(5)). It reports whether the process is a zombie whose parent is this process.
func (r *reaper) look(pid int) (z zombie, leads bool, group int, found bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return z, false, 0, false // the process no longer exists
	}
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndex(text, ")")+1:]) // the name before it may contain any character
	if len(fields) < 20 || fields[0] != "Z" || fields[1] != "1" {
		return z, false, 0, false
	}
	group, err = strconv.Atoi(fields[2])
	return zombie{pid, fields[19]}, group == pid, group, err == nil
}
