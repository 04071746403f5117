//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// Addresses in the private network are "inside" and, for the router, "gate". In the public network they are "far" and, for the router,
// "outside".
const (
	inside, gate = "10.99.0.2", "10.99.0.1"
	outside, far = "198.51.100.1", "198.51.100.2"
)

// TestBehindNAT checks the delivery from a private network through NAT to a receiver, with an interruption of the link.
func TestBehindNAT(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"ip", "nft", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	private, public := network(t)
	r := newPrometheus(t, ":9090", "http://"+far+":9090", public.to(t, "127.0.0.1:9090"), public.command()...)
	r.start(t)
	r.answers(ctx, t)
	l := private.listen(t, inside+":9100")
	page := export(t, l)
	config := write(t, t.TempDir(), "cton.yaml", scraping(l.Addr(), r.root, filepath.Join(t.TempDir(), "spool")))
	command := private.command(env(t, "CTON"), "run", "-c", config)
	agent := start(t, command[0], command[1:]...)
	r.reaches(ctx, t, page.wait(ctx, t, 5))

	public.run(t, "ip", "link", "set", "line", "down") // packets are lost without an error
	cut := time.Now()
	last := page.wait(ctx, t, 0)
	for time.Since(cut) < 20*time.Second {
		page.wait(ctx, t, 1)
	}
	stored, err := r.stored(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := newest(stored); got > last {
		t.Errorf("scrape %d has arrived over a link that was down from scrape %d on", got, last)
	}
	public.run(t, "ip", "link", "set", "line", "up")
	restored := time.Now()
	r.reaches(ctx, t, page.wait(ctx, t, 1))
	t.Logf("everything has arrived %s after the link was up", time.Since(restored).Round(time.Second))
	page.wait(ctx, t, 2)
	agent.stop(t, 15*time.Second)

	if stored, err = r.stored(ctx); err != nil {
		t.Fatal(err)
	}
	page.compare(t, stored, func(int, time.Time) bool { return false })
	r.droppedNothing(ctx, t)
}

// network makes a private network behind a router with NAT. It also makes a public network, which has no route to private addresses.
func network(t *testing.T) (private, public *namespace) {
	t.Helper()
	private, public = newNamespace(t), newNamespace(t)
	middle := newNamespace(t)
	middle.run(t, "ip", "link", "add", "in", "type", "veth", "peer", "name", "line", "netns", private.path)
	middle.run(t, "ip", "link", "add", "out", "type", "veth", "peer", "name", "line", "netns", public.path)
	for _, end := range []struct {
		n             *namespace
		name, address string
	}{{private, "line", inside}, {middle, "in", gate}, {middle, "out", outside}, {public, "line", far}} {
		end.n.run(t, "ip", "address", "add", end.address+"/24", "dev", end.name)
		end.n.run(t, "ip", "link", "set", end.name, "up")
	}
	private.run(t, "ip", "route", "add", "default", "via", gate)
	middle.run(t, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	middle.run(t, "nft", "add table ip nat; "+
		"add chain ip nat leave { type nat hook postrouting priority 100; }; "+
		`add rule ip nat leave oifname "out" masquerade`)
	return private, public
}

// namespace is a network namespace without a name. The kernel removes it when no thread, process or socket
// uses it any more.
type namespace struct {
	path string
	work chan func()
}

// newNamespace makes a network namespace with a loopback interface. It skips the test if that is not permitted.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n := &namespace{work: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends with the goroutine
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		n.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), syscall.Gettid())
		made <- err
		for f := range n.work {
			f()
		}
	}()
	t.Cleanup(func() { close(n.work) })
	if err := <-made; err != nil {
		t.Skipf("make a network namespace, which needs root: %v", err)
	}
	n.run(t, "ip", "link", "set", "lo", "up")
	return n
}

// do runs f in the namespace. Sockets that f opens stay in the namespace.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.work <- func() { defer close(done); f() }
	<-done
}

// command returns the command that starts a program in the namespace.
func (n *namespace) command(args ...string) []string {
	return append([]string{"nsenter", "--net=" + n.path}, args...)
}

func (n *namespace) run(t *testing.T, args ...string) {
	t.Helper()
	args = n.command(args...)
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
}

func (n *namespace) listen(t *testing.T, address string) (l net.Listener) {
	t.Helper()
	var err error
	n.do(func() { l, err = net.Listen("tcp", address) })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// to returns a transport that always connects to this address in the namespace, whatever the URL of the request is.
func (n *namespace) to(t *testing.T, address string) *http.Transport {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (c net.Conn, err error) {
		n.do(func() { c, err = (&net.Dialer{}).DialContext(ctx, "tcp", address) })
		return c, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}
