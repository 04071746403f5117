package process_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/process"
)

// helperEnv says what this test binary does as a helper process.
const helperEnv = "PROCESS_TEST_HELPER"

func helper(what string) int {
	switch what {
	case "killed":
		return startAndHang()
	case "init":
		return beProcessOne()
	}
	return 1
}

// startAndHang starts a command, and waits to be killed.
func startAndHang() int {
	cmd := exec.Command("/bin/sh", "-c", "trap '' TERM; echo $$; while :; do read x; done")
	cmd.Stdout, cmd.Stdin = os.Stdout, os.Stdin
	p, err := process.Start(cmd)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	_, _ = p.Wait(context.Background(), time.Hour)
	return 0
}

// self returns this test binary as a helper.
func self(what string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperEnv+"="+what)
	return cmd
}

// TestAgentKilled kills a process that runs a command. The command, which ignores SIGTERM, ends too.
func TestAgentKilled(t *testing.T) {
	agent := self("killed")
	in, _ := agent.StdinPipe() // stays open: the command is in a read
	defer in.Close()
	out, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	var pid int
	if _, err := fmt.Fscanln(r, &pid); err != nil {
		t.Fatal(err)
	}
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { _, err := r.ReadByte(); closed <- err }() // the command has the other end
	select {
	case err := <-closed:
		if err == nil {
			t.Error("got more output")
		}
	case <-time.After(10 * time.Second):
		t.Errorf("the command, process %d, outlives the agent", pid)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = agent.Wait()
}

// beProcessOne is what the agent does as process 1 of a container: it reaps, and runs commands that leave orphans.
func beProcessOne() int {
	err := errors.Join(
		syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
		syscall.Mount("proc", "/proc", "proc", 0, ""))
	if err != nil {
		fmt.Println("cannot mount /proc:", err)
		return 0
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	reaped := make(chan error)
	go func() { reaped <- process.Reap(ctx) }()
	code := 0
	for i := range 30 {
		// One orphan in the group, and one that has left it by setsid.
		cmd := exec.Command("/bin/sh", "-c", "sleep 0.05 & setsid sleep 0.05 </dev/null >/dev/null 2>&1 & exit 3")
		p, err := process.Start(cmd)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		if got, err := p.Wait(ctx, time.Second); got.Code != 3 || err != nil {
			fmt.Printf("run %d: got %+v, %v: was its end stolen?\n", i, got, err)
			code = 1
		}
	}
	// A child that a plug-in has started waits for its Wait.
	plain := exec.Command("/bin/sh", "-c", "exit 4")
	if err := plain.Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	for deadline := time.Now().Add(30 * time.Second); zombies() > 1; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			fmt.Println(zombies(), "zombies are left")
			code = 1
			break
		}
	}
	if err := plain.Wait(); plain.ProcessState.ExitCode() != 4 {
		fmt.Println("the plug-in's child:", err)
		code = 1
	}
	stop()
	if err := <-reaped; err != nil {
		fmt.Println(err)
		code = 1
	}
	fmt.Println("done, zombies:", zombies())
	return code
}

func zombies() (n int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		text, _ := os.ReadFile(stat)
		if strings.Contains(string(text), ") Z ") {
			n++
		}
	}
	return n
}

// TestReap runs this test binary as process 1 of a PID namespace.
func TestReap(t *testing.T) {
	init := self("init")
	init.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		init.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		init.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		init.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := init.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || strings.Contains(string(out), "cannot mount /proc") {
		t.Skipf("PID namespaces are not permitted here, so reaping as process 1 is not tested: %v %s", err, out)
	}
	if err != nil || string(out) != "done, zombies: 0\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestReapNotFirst checks that any other process leaves orphans to process 1.
func TestReapNotFirst(t *testing.T) {
	if err := process.Reap(t.Context()); err != nil {
		t.Error(err)
	}
}
