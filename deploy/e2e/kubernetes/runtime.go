package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	fake "k8s.io/cri-api/pkg/apis/testing"
)

// containerRuntime implements the container runtime interface. Each pod has a network namespace, and each container is a process in its
// own namespaces of other kinds. What containerRuntime does not implement (exec, attach, port-forward, checkpoints, statistics) is left to
// FakeRuntimeService.
type containerRuntime struct {
	*fake.FakeRuntimeService
	dir    string // the directory of this node
	images string // the directory of all images
	subnet string // the beginning of the addresses of its pods

	mu         sync.Mutex
	made       int // number of sandboxes and containers that were made
	sandboxes  map[string]*sandbox
	containers map[string]*container
}

// sandbox is what the containers of a pod share.
type sandbox struct {
	id        string
	config    *runtimeapi.PodSandboxConfig
	created   time.Time
	address   string
	namespace *os.File // the network namespace; nil when the sandbox has stopped
}

// newRuntime returns the runtime of node n.
func newRuntime(dir string, n int) (*containerRuntime, error) {
	r := &containerRuntime{
		FakeRuntimeService: fake.NewFakeRuntimeService(), dir: dir, images: filepath.Join(filepath.Dir(dir), "images"),
		subnet: fmt.Sprintf("10.44.%d.", n+1), sandboxes: map[string]*sandbox{}, containers: map[string]*container{},
	}
	return r, os.MkdirAll(filepath.Join(dir, "containers"), 0o755)
}

// Version returns the version of the interface.
func (r *containerRuntime) Version(context.Context, string) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{Version: "0.1.0", RuntimeName: "processes", RuntimeVersion: "1.0.0", RuntimeApiVersion: "v1"}, nil
}

// Status says that everything is ready.
func (r *containerRuntime) Status(context.Context, bool) (*runtimeapi.StatusResponse, error) {
	return &runtimeapi.StatusResponse{Status: &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
		{Type: runtimeapi.RuntimeReady, Status: true}, {Type: runtimeapi.NetworkReady, Status: true},
	}}}, nil
}

// number returns a new number.
func (r *containerRuntime) number() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made++
	return r.made
}

// RunPodSandbox makes the network of a pod.
func (r *containerRuntime) RunPodSandbox(_ context.Context, config *runtimeapi.PodSandboxConfig, _ string) (string, error) {
	n := r.number()
	s := &sandbox{id: fmt.Sprintf("%s-%d", config.Metadata.Uid, n), config: config, created: time.Now(), address: fmt.Sprintf("%s%d", r.subnet, 2+n%250)}
	var err error
	if s.namespace, err = newNetwork(s.address, fmt.Sprintf("pod%s-%d", string(r.subnet[len("10.44.")]), n)); err != nil {
		return "", err
	}
	if err := os.MkdirAll(config.LogDirectory, 0o755); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sandboxes[s.id] = s
	return s.id, nil
}

// StopPodSandbox kills the containers of a pod and ends its network.
func (r *containerRuntime) StopPodSandbox(_ context.Context, id string) error {
	for _, c := range r.in(id) {
		c.stop(0)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sandboxes[id]; s != nil && s.namespace != nil {
		_ = s.namespace.Close() // its interfaces go with it
		s.namespace = nil
	}
	return nil
}

// in returns the containers of a pod.
func (r *containerRuntime) in(sandbox string) (all []*container) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.containers {
		if c.sandbox.id == sandbox {
			all = append(all, c)
		}
	}
	return all
}

// RemovePodSandbox forgets a pod and its containers.
func (r *containerRuntime) RemovePodSandbox(ctx context.Context, id string) error {
	if err := r.StopPodSandbox(ctx, id); err != nil {
		return err
	}
	for _, c := range r.in(id) {
		if err := r.RemoveContainer(ctx, c.id); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sandboxes, id)
	return nil
}

// state returns the state of the sandbox: it is ready as long as the pod's network exists.
func (s *sandbox) state() runtimeapi.PodSandboxState {
	if s.namespace == nil {
		return runtimeapi.PodSandboxState_SANDBOX_NOTREADY
	}
	return runtimeapi.PodSandboxState_SANDBOX_READY
}

// PodSandboxStatus returns the state and the address of a pod.
func (r *containerRuntime) PodSandboxStatus(_ context.Context, id string, _ bool) (*runtimeapi.PodSandboxStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[id]
	if s == nil {
		return nil, fmt.Errorf("there is no sandbox %s", id)
	}
	return &runtimeapi.PodSandboxStatusResponse{Status: &runtimeapi.PodSandboxStatus{
		Id: s.id, Metadata: s.config.Metadata, State: s.state(), CreatedAt: s.created.UnixNano(), Labels: s.config.Labels, Annotations: s.config.Annotations,
		Network: &runtimeapi.PodSandboxNetworkStatus{Ip: s.address},
		Linux:   &runtimeapi.LinuxPodSandboxStatus{Namespaces: &runtimeapi.Namespace{Options: &runtimeapi.NamespaceOption{}}},
	}}, nil
}

// ListPodSandbox returns the pods that match the filter.
func (r *containerRuntime) ListPodSandbox(_ context.Context, f *runtimeapi.PodSandboxFilter) (all []*runtimeapi.PodSandbox, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sandboxes {
		if f.GetId() != "" && f.GetId() != s.id || f.GetState() != nil && f.GetState().State != s.state() || !contains(s.config.Labels, f.GetLabelSelector()) {
			continue
		}
		all = append(all, &runtimeapi.PodSandbox{
			Id: s.id, Metadata: s.config.Metadata, State: s.state(), CreatedAt: s.created.UnixNano(), Labels: s.config.Labels, Annotations: s.config.Annotations,
		})
	}
	return all, nil
}

// contains reports whether labels contains all wanted labels.
func contains(labels, wanted map[string]string) bool {
	for name, value := range wanted {
		if labels[name] != value {
			return false
		}
	}
	return true
}

// CreateContainer prepares a container.
func (r *containerRuntime) CreateContainer(_ context.Context, id string, config *runtimeapi.ContainerConfig, _ *runtimeapi.PodSandboxConfig) (string, error) {
	root, err := images{r.images}.root(config.Image.Image)
	if err != nil {
		return "", err
	}
	n := r.number()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[id]
	if s == nil || s.namespace == nil {
		return "", fmt.Errorf("sandbox %s is not ready", id)
	}
	c := &container{id: fmt.Sprintf("%s-%d", config.Metadata.Name, n), config: config, sandbox: s, image: root, created: time.Now(), ended: make(chan struct{})}
	c.dir = filepath.Join(r.dir, "containers", c.id)
	r.containers[c.id] = c
	return c.id, nil
}

// container returns a container by its id.
func (r *containerRuntime) container(id string) (*container, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.containers[id]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("there is no container %s", id)
}

// StartContainer starts the process of a container.
func (r *containerRuntime) StartContainer(_ context.Context, id string) error {
	c, err := r.container(id)
	if err != nil {
		return err
	}
	return c.start()
}

// StopContainer ends the process of a container. If the process has not ended after the timeout (in seconds), it is killed.
func (r *containerRuntime) StopContainer(_ context.Context, id string, timeout int64) error {
	c, err := r.container(id)
	if err != nil {
		return nil // it has been removed
	}
	c.stop(time.Duration(timeout) * time.Second)
	return nil
}

// RemoveContainer forgets a container and removes its files.
func (r *containerRuntime) RemoveContainer(_ context.Context, id string) error {
	c, err := r.container(id)
	if err != nil {
		return nil
	}
	c.stop(0)
	r.mu.Lock()
	delete(r.containers, id)
	r.mu.Unlock()
	return errors.Join(os.RemoveAll(c.dir), os.RemoveAll(c.log()))
}

// ListContainers returns the containers that match the filter.
func (r *containerRuntime) ListContainers(_ context.Context, f *runtimeapi.ContainerFilter) (all []*runtimeapi.Container, _ error) {
	r.mu.Lock()
	known := maps.Clone(r.containers)
	r.mu.Unlock()
	for _, c := range known {
		s := c.status()
		if f.GetId() != "" && f.GetId() != c.id || f.GetPodSandboxId() != "" && f.GetPodSandboxId() != c.sandbox.id ||
			f.GetState() != nil && f.GetState().State != s.State || !contains(c.config.Labels, f.GetLabelSelector()) {
			continue
		}
		all = append(all, &runtimeapi.Container{
			Id: c.id, PodSandboxId: c.sandbox.id, Metadata: s.Metadata, Image: s.Image, ImageRef: s.ImageRef, ImageId: s.ImageRef, State: s.State,
			CreatedAt: s.CreatedAt, Labels: s.Labels, Annotations: s.Annotations,
		})
	}
	return all, nil
}

// ContainerStatus returns the state of a container.
func (r *containerRuntime) ContainerStatus(_ context.Context, id string, _ bool) (*runtimeapi.ContainerStatusResponse, error) {
	c, err := r.container(id)
	if err != nil {
		return nil, err
	}
	return &runtimeapi.ContainerStatusResponse{Status: c.status()}, nil
}

// UpdateContainerResources does nothing: there are no cgroups.
func (r *containerRuntime) UpdateContainerResources(context.Context, string, *runtimeapi.ContainerResources) error {
	return nil
}

// ReopenContainerLog does nothing: logs stay small.
func (r *containerRuntime) ReopenContainerLog(context.Context, string) error { return nil }
