//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

// namespace is a network of its own. It has no name, and so leaves nothing behind: it is gone with its thread, its
// processes and its sockets, however the test ends.
type namespace struct {
	path string
	work chan func()
}

// newNamespace makes a network with nothing but a loopback that is up, or skips the test where that is not allowed.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n := &namespace{work: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here, and nobody else gets into its network
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

// do runs f in the network. Sockets that f opens stay in it.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.work <- func() { defer close(done); f() }
	<-done
}

// command is how a program is begun in the network.
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

// to asks one address in the network, whatever the URL says.
func (n *namespace) to(t *testing.T, address string) *http.Transport {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (c net.Conn, err error) {
		n.do(func() { c, err = (&net.Dialer{}).DialContext(ctx, "tcp", address) })
		return c, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}
