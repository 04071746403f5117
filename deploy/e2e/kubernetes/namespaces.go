package kubernetes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// workDir is the name of an environment variable. It is set in processes inside the namespaces, to the directory where they can write.
const workDir = "CTON_CLUSTER_DIR"

// Addresses in the network of the cluster.
const (
	hostAddress   = "10.44.0.1" // address of the API server, and of the servers of the test
	apiService    = "10.96.0.1" // address of the Service "kubernetes"
	serviceRange  = "10.96.0.0/16"
	bridge        = "pods"
	nodes         = 2
	prefixOfNodes = "10.44.0.1%d" // addresses of the kubelets
)

// Isolate runs this program again in new namespaces and returns its exit code. When the program in the namespaces ends, or this process
// dies, the kernel ends all processes in the namespaces. Isolate returns an error if the kernel does not allow new namespaces.
func Isolate() (int, error) {
	runtime.LockOSThread() // the kernel kills the child when the thread that has started it ends
	dir, err := os.MkdirTemp("", "cton-cluster-")
	if err != nil {
		return 1, err
	}
	defer os.Remove(dir) // the files are on a file system that ends with the namespaces
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), workDir+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("namespaces for the cluster: %w", err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// Settle prepares the namespaces that Isolate has made: file systems and network.
func Settle() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for target, kind := range map[string]string{"/proc": "proc", "/var/log": "tmpfs", os.Getenv(workDir): "tmpfs"} {
		if err := unix.Mount(kind, target, kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", target, err)
		}
	}
	if err := up("lo"); err != nil {
		return err
	}
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge}}); err != nil {
		return fmt.Errorf("add bridge: %w", err)
	}
	addresses := []string{hostAddress + "/16", apiService + "/32"}
	for n := range nodes {
		addresses = append(addresses, nodeAddress(n)+"/16")
	}
	return up(bridge, addresses...)
}

// nodeAddress returns the address of the kubelet of a node. The first node is 0.
func nodeAddress(n int) string { return fmt.Sprintf(prefixOfNodes, n) }

// up gives a network interface its addresses and brings it up.
func up(name string, addresses ...string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	for _, a := range addresses {
		address, err := netlink.ParseAddr(a)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(link, address); err != nil {
			return fmt.Errorf("interface %s: add %s: %w", name, a, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("interface %s: switch on: %w", name, err)
	}
	return nil
}
