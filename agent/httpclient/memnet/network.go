// Package memnet is an in-memory network for tests with fake time. The connections are pipes (net.Pipe), so that a goroutine
// that waits for data is durably blocked in the sense of testing/synctest.
package memnet

import (
	"context"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
)

// Network connects dialers with listeners by address. Use [NewNetwork] to make one.
type Network struct {
	mu     sync.Mutex
	listen map[string]*listener
}

// NewNetwork returns a network without listeners.
func NewNetwork() *Network { return &Network{listen: map[string]*listener{}} }

// Listen listens on an address such as "api.example.com:443". It panics if the address is in use.
func (n *Network) Listen(address string) net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listen[address] != nil {
		panic("memnet: address " + address + " is in use")
	}
	l := &listener{net: n, address: addr(address), conns: make(chan net.Conn), closed: make(chan struct{})}
	n.listen[address] = l
	return l
}

// Dial has the signature of httpclient.Host.Dial. If there is no listener, the connection is refused. If the listener does not
// accept the connection, Dial waits until ctx is done.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listen[address]
	n.mu.Unlock()
	failed := func(err error) error {
		return &net.OpError{Op: "dial", Net: network, Addr: addr(address), Err: err}
	}
	refused := failed(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	if l == nil {
		return nil, refused
	}
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
		err := ctx.Err()
		if err == context.DeadlineExceeded {
			err = os.ErrDeadlineExceeded // as a real dial does
		}
		return nil, failed(err)
	}
}

// Serve starts a server on the address. At the end of the test, it closes the server and waits until all handlers have returned.
func (n *Network) Serve(t testing.TB, address string, handler http.Handler) {
	l := n.Listen(address)
	var done sync.WaitGroup
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done.Add(1)
		defer done.Done()
		handler.ServeHTTP(w, r)
	})}
	done.Go(func() { server.Serve(l) })
	t.Cleanup(func() {
		server.Close()
		done.Wait()
	})
}

type listener struct {
	net     *Network
	address addr
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		delete(l.net.listen, string(l.address))
	})
	return nil
}

func (l *listener) Addr() net.Addr { return l.address }

type addr string

func (addr) Network() string  { return "memory" }
func (a addr) String() string { return string(a) }
