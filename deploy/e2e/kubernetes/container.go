package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// container is one container of a pod. A container that has ended is not started again: the kubelet creates a new one.
type container struct {
	id      string
	config  *runtimeapi.ContainerConfig
	sandbox *sandbox
	image   string // the directory of the image's files
	dir     string // the directory with the container's own files
	created time.Time
	ended   chan struct{} // closed when the process has ended

	mu       sync.Mutex
	process  *os.Process
	started  time.Time
	finished time.Time
	code     int
}

// pidFile is the name of the file with the process ID of a container. A test that kills the container reads the file.
const pidFile = "pid"

// start starts the process, which enters its namespaces by itself: see becomeContainer.
func (c *container) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	text, err := json.Marshal(c.description())
	if err != nil {
		return err
	}
	log, err := os.OpenFile(c.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	shared := &sync.Mutex{}
	cmd := exec.Command("/proc/self/exe", "container")
	cmd.Stdin = bytes.NewReader(text)
	cmd.Stdout, cmd.Stderr = &logStream{file: log, name: "stdout", mu: shared}, &logStream{file: log, name: "stderr", mu: shared}
	cmd.ExtraFiles = []*os.File{c.sandbox.namespace}
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC}
	if err := cmd.Start(); err != nil {
		return errors.Join(err, log.Close())
	}
	c.process, c.started = cmd.Process, time.Now()
	go func() {
		_ = cmd.Wait() // the result is in ProcessState
		_ = log.Close()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.finished, c.code = time.Now(), cmd.ProcessState.ExitCode()
		if s, is := cmd.ProcessState.Sys().(syscall.WaitStatus); is && s.Signaled() {
			c.code = 128 + int(s.Signal())
		}
		close(c.ended)
	}()
	return os.WriteFile(filepath.Join(c.dir, pidFile), []byte(strconv.Itoa(c.process.Pid)), 0o644)
}

// log returns the file of the container's output.
func (c *container) log() string {
	return filepath.Join(c.sandbox.config.LogDirectory, c.config.LogPath)
}

// stop asks the process to end, and kills it if it has not ended after the grace period.
func (c *container) stop(grace time.Duration) {
	c.mu.Lock()
	process := c.process
	c.mu.Unlock()
	if process == nil {
		return
	}
	if grace > 0 {
		_ = process.Signal(syscall.SIGTERM) // an error means that the process has ended
		select {
		case <-c.ended:
		case <-time.After(grace):
		}
	}
	_ = process.Kill()
	<-c.ended
}

// status returns the state of the container.
func (c *container) status() *runtimeapi.ContainerStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &runtimeapi.ContainerStatus{
		Id: c.id, Metadata: c.config.Metadata, Image: c.config.Image, ImageRef: c.config.Image.Image, ImageId: c.config.Image.Image,
		CreatedAt: c.created.UnixNano(), Labels: c.config.Labels, Annotations: c.config.Annotations, Mounts: c.config.Mounts, LogPath: c.log(),
		State: runtimeapi.ContainerState_CONTAINER_CREATED,
	}
	if c.process != nil {
		s.State, s.StartedAt = runtimeapi.ContainerState_CONTAINER_RUNNING, c.started.UnixNano()
	}
	if !c.finished.IsZero() {
		s.State, s.FinishedAt, s.ExitCode = runtimeapi.ContainerState_CONTAINER_EXITED, c.finished.UnixNano(), int32(c.code)
		s.Reason = "Completed"
		if c.code != 0 {
			s.Reason = "Error"
		}
	}
	return s
}

// description returns the description of the process for becomeContainer.
func (c *container) description() containerProcess {
	p := containerProcess{
		Image: c.image, Dir: c.dir, Hostname: c.sandbox.config.Hostname, WorkingDir: c.config.WorkingDir, User: imageUser, Group: imageUser,
		Command: slices.Concat(c.config.Command, c.config.Args),
	}
	if len(c.config.Command) == 0 { // as in deploy/container/Dockerfile
		p.Command = append([]string{"/cton"}, c.config.Args...)
		if len(c.config.Args) == 0 {
			p.Command = []string{"/cton", "run", "-c", "/etc/cton/cton.yaml"}
		}
	}
	p.Env = []string{"PATH=/"}
	for _, e := range c.config.Envs {
		p.Env = append(p.Env, e.Key+"="+string(e.Value))
	}
	for _, m := range c.config.Mounts {
		p.Mounts = append(p.Mounts, containerMount{From: m.HostPath, To: m.ContainerPath, ReadOnly: m.Readonly})
	}
	s := c.config.GetLinux().GetSecurityContext()
	if u := s.GetRunAsUser(); u != nil {
		p.User = int(u.Value)
	}
	if g := s.GetRunAsGroup(); g != nil {
		p.Group = int(g.Value)
	}
	for _, g := range s.GetSupplementalGroups() {
		p.Groups = append(p.Groups, int(g))
	}
	p.ReadOnly, p.NoNewPrivileges = s.GetReadonlyRootfs(), s.GetNoNewPrivs()
	return p
}

// logStream writes one output of a container to its log, in the format of the container runtime interface.
type logStream struct {
	file *os.File
	name string
	mu   *sync.Mutex // held while the file is written
	rest []byte      // the beginning of a line whose end was not written yet
}

func (l *logStream) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, data...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole && len(l.rest) < 1<<16 {
			return len(data), nil
		}
		l.rest = rest
		if _, err := fmt.Fprintf(l.file, "%s %s F %s\n", time.Now().Format(time.RFC3339Nano), l.name, line); err != nil {
			return 0, err
		}
	}
}
