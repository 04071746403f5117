package kubernetes

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Cluster is a running cluster.
type Cluster struct {
	Client *kubernetes.Clientset // with all rights
	Config *rest.Config
	dir    string
}

// Start starts a cluster in the namespaces of this process, and waits until its nodes are ready. The keys of the map "images" are the tags
// of container images, and its values are the directories with the files of the images.
func Start(ctx context.Context, images map[string]string) (*Cluster, error) {
	c := &Cluster{dir: os.Getenv(workDir)}
	if err := c.keys(); err != nil {
		return nil, err
	}
	for tag, dir := range images {
		if err := os.MkdirAll(filepath.Join(c.dir, "images"), 0o755); err != nil {
			return nil, err
		}
		if err := os.CopyFS(filepath.Join(c.dir, "images", tag), os.DirFS(dir)); err != nil {
			return nil, err
		}
	}
	if err := c.control(ctx); err != nil {
		return nil, err
	}
	for n := range nodes {
		name := "node-" + strconv.Itoa(n)
		config, err := c.kubeconfig(name)
		if err != nil {
			return nil, err
		}
		if err := c.start(name, "node", strconv.Itoa(n), filepath.Join(c.dir, name), config); err != nil {
			return nil, err
		}
	}
	return c, c.wait(ctx, "wait for the nodes", c.nodesReady)
}

// file returns the path of a file of the cluster.
func (c *Cluster) file(name string) string { return filepath.Join(c.dir, name) }

// users returns the clients of the API server, with their groups. The token of a user is the user's name.
func users() map[string]string {
	all := map[string]string{"admin": "system:masters", "system:kube-controller-manager": "", "system:kube-scheduler": ""}
	for n := range nodes {
		all["system:node:node-"+strconv.Itoa(n)] = "system:nodes"
	}
	return all
}

// keys writes the key of service accounts and the tokens of the users. The network of the cluster is closed, so tokens need not be secret.
func (c *Cluster) keys() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(c.file("account.key"), text, 0o600); err != nil {
		return err
	}
	var tokens strings.Builder
	for name, groups := range users() {
		fmt.Fprintf(&tokens, "%s,%s,%s,%q\n", name, name, name, groups)
	}
	return os.WriteFile(c.file("tokens"), []byte(tokens.String()), 0o600)
}

// control starts the control plane.
func (c *Cluster) control(ctx context.Context) error {
	if err := c.start("etcd", "etcd", c.dir); err != nil {
		return err
	}
	if err := c.start("apiserver", "apiserver",
		"--etcd-servers=http://127.0.0.1:2379", "--advertise-address="+hostAddress, "--secure-port=443", "--service-cluster-ip-range="+serviceRange,
		"--cert-dir="+c.file("pki"), "--token-auth-file="+c.file("tokens"), "--authorization-mode=Node,RBAC",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+c.file("account.key"),
		"--service-account-signing-key-file="+c.file("account.key"), "--kubelet-preferred-address-types=InternalIP"); err != nil {
		return err
	}
	c.Config = &rest.Config{
		Host: "https://" + hostAddress, BearerToken: "admin", TLSClientConfig: rest.TLSClientConfig{CAFile: c.file("pki/apiserver.crt")}, QPS: 50, Burst: 100,
	}
	err := c.wait(ctx, "wait for the API server", func(ctx context.Context) error {
		client, err := kubernetes.NewForConfig(c.Config)
		if err != nil {
			return err // there is no certificate yet
		}
		c.Client = client
		return client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
	if err != nil {
		return err
	}
	for _, name := range []string{"controllers", "scheduler"} {
		user := map[string]string{"controllers": "system:kube-controller-manager", "scheduler": "system:kube-scheduler"}[name]
		config, err := c.kubeconfig(user)
		if err != nil {
			return err
		}
		args := []string{name, "--kubeconfig=" + config, "--leader-elect=false", "--cert-dir=" + c.file(name+"-pki")}
		if name == "controllers" {
			args = append(args, "--root-ca-file="+c.file("pki/apiserver.crt"), "--service-account-private-key-file="+c.file("account.key"),
				"--use-service-account-credentials")
		}
		if err := c.start(name, args...); err != nil {
			return err
		}
	}
	return nil
}

// kubeconfig writes the client configuration of a user and returns the path of the file. If the user is a node, the argument is the name of
// the node.
func (c *Cluster) kubeconfig(user string) (string, error) {
	file := c.file(strings.ReplaceAll(user, ":", "-") + ".kubeconfig")
	if strings.HasPrefix(user, "node-") {
		user = "system:node:" + user
	}
	k := clientcmdapi.NewConfig()
	k.Clusters["c"] = &clientcmdapi.Cluster{Server: c.Config.Host, CertificateAuthority: c.Config.CAFile}
	k.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: user}
	k.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	k.CurrentContext = "x"
	return file, clientcmd.WriteToFile(*k, file)
}

// start starts a part of the cluster. The part writes its log to the file NAME.log.
func (c *Cluster) start(name string, args ...string) error {
	log, err := os.Create(c.file(name + ".log"))
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	go func() { _ = cmd.Wait() }() // the log says why it ended
	return log.Close()
}

// wait calls the function "ask" until its result is nil. When ctx ends, wait returns the newest error of this function, with the ends of
// the logs.
func (c *Cluster) wait(ctx context.Context, what string, ask func(context.Context) error) error {
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s: %w\n%s", what, err, c.Logs())
		}
	}
}

// Logs returns the ends of the logs of all parts.
func (c *Cluster) Logs() string {
	files, err := filepath.Glob(c.file("*.log"))
	var all strings.Builder
	for _, file := range files {
		text, readErr := os.ReadFile(file)
		err = errors.Join(err, readErr)
		lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
		lines = lines[max(0, len(lines)-15):]
		fmt.Fprintf(&all, "-- %s\n%s\n", filepath.Base(file), bytes.Join(lines, []byte("\n")))
	}
	if err != nil {
		fmt.Fprintln(&all, err)
	}
	return all.String()
}

// nodesReady returns an error until all nodes are ready.
func (c *Cluster) nodesReady(ctx context.Context) error {
	all, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	ready := 0
	for _, n := range all.Items {
		for _, condition := range n.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
				ready++
			}
		}
	}
	if ready < nodes {
		return fmt.Errorf("%d nodes are ready", ready)
	}
	return nil
}

// Kill kills the first container of a pod without warning, as the kernel does when memory runs out.
func (c *Cluster) Kill(pod *corev1.Pod) error {
	pid, err := c.process(pod)
	if err != nil {
		return err
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

// process returns the process ID of the first container of a pod.
func (c *Cluster) process(pod *corev1.Pod) (pid int, err error) {
	_, id, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
	text, err := os.ReadFile(filepath.Join(c.dir, pod.Spec.NodeName, "containers", id, pidFile))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}

// Cut cuts a pod off from the API server: what the pod sends there is lost. The returned function "join" connects the pod again.
func (c *Cluster) Cut(pod *corev1.Pod) (join func() error, err error) {
	pid, err := c.process(pod)
	if err != nil {
		return nil, err
	}
	namespace, err := netns.GetFromPid(pid)
	if err != nil {
		return nil, err
	}
	defer namespace.Close()
	inside, err := netlink.NewHandleAt(namespace)
	if err != nil {
		return nil, err
	}
	to, err := netlink.ParseIPNet(apiService + "/32")
	if err != nil {
		inside.Close()
		return nil, err
	}
	route := &netlink.Route{Dst: to, Type: unix.RTN_BLACKHOLE}
	if err := inside.RouteAdd(route); err != nil {
		inside.Close()
		return nil, err
	}
	return func() error { defer inside.Close(); return inside.RouteDel(route) }, nil
}
