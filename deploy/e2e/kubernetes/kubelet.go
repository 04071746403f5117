package kubernetes

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	cadvisorapi "github.com/google/cadvisor/lib/model"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	cadvisor "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	kubeletutil "k8s.io/kubernetes/pkg/kubelet/util"
)

// hostKubelet is the kubelet of Kubernetes, with the container runtime of this package. It has no cgroups and no statistics of the
// machine.
type hostKubelet struct {
	server  *options.KubeletServer
	client  *clientset.Clientset
	runtime *containerRuntime
}

// machine describes the machine to the kubelet. Its capacity is enough for the pods of the test.
type machine struct{ cadvisor.Fake }

func (*machine) MachineInfo(klog.Logger) (*cadvisorapi.MachineInfo, error) {
	return &cadvisorapi.MachineInfo{NumCores: 4, MemoryCapacity: 8 << 30}, nil
}

// newKubelet returns the kubelet of a node.
func newKubelet(number, dir, kubeconfig string) (*hostKubelet, error) {
	n, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	connect, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	connect.QPS, connect.Burst = 50, 100
	client, err := clientset.NewForConfig(connect)
	if err != nil {
		return nil, err
	}
	s := &options.KubeletServer{KubeletFlags: *options.NewKubeletFlags()}
	c, err := options.NewKubeletConfiguration()
	if err != nil {
		return nil, err
	}
	s.HostnameOverride, s.NodeIP = "node-"+number, nodeAddress(n)
	s.RootDirectory, s.CertDirectory = filepath.Join(dir, "kubelet"), filepath.Join(dir, "pki")
	c.PodLogsDir, c.VolumePluginDir = filepath.Join(dir, "logs"), filepath.Join(dir, "plugins")
	c.ResolverConfig = "" // there is no DNS
	c.Address, c.HealthzPort = s.NodeIP, 0
	c.CgroupsPerQOS, c.EnforceNodeAllocatable = false, nil // there are no cgroups
	c.EvictionHard, c.LocalStorageCapacityIsolation = map[string]string{}, false
	c.FailSwapOn, c.EnableControllerAttachDetach = false, false
	c.SyncFrequency.Duration = time.Second // how soon a changed ConfigMap is in its volume; with the default of a minute, the test would be slow
	c.NodeStatusUpdateFrequency.Duration = 2 * time.Second
	c.ContainerRuntimeEndpoint = "unix:///in/this/process"
	s.KubeletConfiguration = *c
	runtime, err := newRuntime(dir, n)
	return &hostKubelet{s, client, runtime}, err
}

// run runs the kubelet until the process ends.
func (k *hostKubelet) run(ctx context.Context) error {
	d, err := kubelet.UnsecuredDependencies(ctx, k.server, utilfeature.DefaultFeatureGate)
	if err != nil {
		return err
	}
	d.KubeClient, d.HeartbeatClient, d.EventClient = k.client, k.client, k.client.CoreV1()
	d.RemoteRuntimeService, d.RemoteImageService = k.runtime, images{dir: k.runtime.images}
	d.CAdvisorInterface, d.ContainerManager = &machine{}, cm.NewStubContainerManager()
	d.PodStartupLatencyTracker = kubeletutil.NewPodStartupLatencyTracker()
	d.NodeStartupLatencyTracker = kubeletutil.NewNodeStartupLatencyTracker(klog.FromContext(ctx))
	if err := kubelet.RunKubelet(ctx, k.server, d); err != nil {
		return fmt.Errorf("kubelet: %w", err)
	}
	select {}
}
