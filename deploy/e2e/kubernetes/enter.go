package kubernetes

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// containerProcess describes the process of a container.
type containerProcess struct {
	Image           string // the directory with the files of the image, which stay as they are
	Dir             string // the directory for the files that the container writes
	Hostname        string
	WorkingDir      string
	Command, Env    []string
	Mounts          []containerMount
	User, Group     int
	Groups          []int
	ReadOnly        bool // the root file system is read-only
	NoNewPrivileges bool
}

// containerMount makes a directory or file of the machine visible in the container.
type containerMount struct {
	From, To string
	ReadOnly bool
}

// becomeContainer makes this process the process of a container. It reads the container's description from the standard input. File
// descriptor 3 is the network namespace of the pod; this process is already in its own namespaces of other kinds.
func becomeContainer([]string) error {
	runtime.LockOSThread() // some of the following system calls affect only the current thread, on which the command is then started
	var p containerProcess
	if err := json.NewDecoder(os.Stdin).Decode(&p); err != nil {
		return err
	}
	if err := unix.Setns(3, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the pod's network: %w", err)
	}
	if err := unix.Close(3); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(p.Hostname)); err != nil {
		return err
	}
	if err := p.enterRoot(); err != nil {
		return err
	}
	if null, err := os.Open("/dev/null"); err != nil {
		return err
	} else if err := unix.Dup2(int(null.Fd()), 0); err != nil {
		return err
	}
	return p.execute()
}

// enterRoot makes the file system of the container and makes it the root.
func (p *containerProcess) enterRoot() error {
	root, upper, work := filepath.Join(p.Dir, "root"), filepath.Join(p.Dir, "upper"), filepath.Join(p.Dir, "work")
	for _, dir := range []string{root, upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	layers := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", p.Image, upper, work)
	if err := unix.Mount("overlay", root, "overlay", 0, layers); err != nil {
		return fmt.Errorf("mount the image: %w", err)
	}
	if err := devices(root); err != nil {
		return err
	}
	slices.SortStableFunc(p.Mounts, func(a, b containerMount) int { return strings.Compare(a.To, b.To) })
	for _, m := range p.Mounts {
		if err := m.mount(root); err != nil {
			return fmt.Errorf("mount %s: %w", m.To, err)
		}
	}
	if p.ReadOnly {
		if err := unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("make the root read-only: %w", err)
		}
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil { // this mounts the old root over the new root; the call of Unmount then removes the old root
		return fmt.Errorf("change the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	return os.Chdir("/" + strings.TrimPrefix(p.WorkingDir, "/"))
}

// devices mounts /proc and the devices that every container has.
func devices(root string) error {
	for _, m := range []struct{ kind, to, data string }{{"proc", "proc", ""}, {"tmpfs", "dev", "mode=755,size=64k"}} {
		to := filepath.Join(root, m.to)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, to, m.kind, unix.MS_NOSUID|unix.MS_NOEXEC, m.data); err != nil {
			return fmt.Errorf("mount /%s: %w", m.to, err)
		}
	}
	for _, name := range []string{"null", "zero", "random", "urandom"} {
		if err := (containerMount{From: "/dev/" + name, To: "/dev/" + name}).mount(root); err != nil {
			return fmt.Errorf("mount /dev/%s: %w", name, err)
		}
	}
	return nil
}

// mount makes a directory or file of the machine visible below root.
func (m containerMount) mount(root string) error {
	to := filepath.Join(root, m.To)
	info, err := os.Stat(m.From)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not on the node", m.From)
	} else if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(to, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
		var f *os.File
		if f, err = os.OpenFile(to, os.O_CREATE, 0o644); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(m.From, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil || !m.ReadOnly {
		return err
	}
	return unix.Mount("", to, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
}

// execute changes to the container's user and replaces this program by the command. If that user is not root, no capability is left.
func (p *containerProcess) execute() error {
	if err := syscall.Setgroups(p.Groups); err != nil {
		return err
	}
	if err := syscall.Setresgid(p.Group, p.Group, p.Group); err != nil {
		return err
	}
	if err := syscall.Setresuid(p.User, p.User, p.User); err != nil {
		return err
	}
	if p.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w", p.Command[0], syscall.Exec(p.Command[0], p.Command, p.Env))
}

// newNetwork returns a network namespace with the given address. An interface with the given name connects the namespace with the network
// of the cluster.
func newNetwork(address, name string) (*os.File, error) {
	type made struct {
		file *os.File
		err  error
	}
	result := make(chan made)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread, which is in the new namespace, ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- made{err: err}
			return
		}
		f, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		if err == nil {
			err = up("lo")
		}
		result <- made{f, err}
	}()
	m := <-result
	if m.err != nil {
		return nil, fmt.Errorf("make a network: %w", m.err)
	}
	if err := connect(m.file, address, name); err != nil {
		return nil, errors.Join(fmt.Errorf("connect a pod: %w", err), m.file.Close())
	}
	return m.file, nil
}

// connect connects a network namespace with the bridge.
func connect(namespace *os.File, address, name string) error {
	to, err := netlink.LinkByName(bridge)
	if err != nil {
		return err
	}
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: name, MasterIndex: to.Attrs().Index}, PeerName: "eth0", PeerNamespace: netlink.NsFd(namespace.Fd()),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return err
	}
	if err := up(name); err != nil {
		return err
	}
	inside, err := netlink.NewHandleAt(netns.NsHandle(namespace.Fd()))
	if err != nil {
		return err
	}
	defer inside.Close()
	eth, err := inside.LinkByName("eth0")
	if err != nil {
		return err
	}
	parsed, err := netlink.ParseAddr(address + "/16")
	if err != nil {
		return err
	}
	if err := inside.AddrAdd(eth, parsed); err != nil {
		return err
	}
	if err := inside.LinkSetUp(eth); err != nil {
		return err
	}
	return inside.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Gw: net.ParseIP(hostAddress)})
}
