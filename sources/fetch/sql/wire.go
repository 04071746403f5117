package sql

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
)

// wire opens connections and limits the number of bytes that are read from them in a tick. This is needed because a driver reads a
// whole row into memory, which may be too large.
type wire struct {
	connect func(ctx context.Context, network, address string) (net.Conn, error)
	left    atomic.Int64
}

// handshake is the number of bytes that may be read in addition to rows: greetings, certificates, and names of columns.
const handshake = 1 << 20

var errWire = errors.New("the result is larger than max_bytes: select fewer rows or columns, or raise it")

func newWire(connect func(context.Context, string, string) (net.Conn, error)) *wire {
	if connect == nil {
		connect = (&net.Dialer{}).DialContext
	}
	return &wire{connect: connect}
}

// allow begins a tick, in which rows of at most this many bytes may be read.
func (w *wire) allow(bytes int64) { w.left.Store(bytes + handshake) }

// isSpent reports whether the limit was exceeded.
func (w *wire) isSpent() bool { return w.left.Load() < 0 }

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := w.connect(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &metered{conn, w}, nil
}

// metered is a connection that counts the bytes that are read.
type metered struct {
	net.Conn
	*wire
}

func (m *metered) Read(p []byte) (int, error) {
	if m.isSpent() {
		return 0, errWire
	}
	n, err := m.Conn.Read(p)
	if m.left.Add(-int64(n)) < 0 {
		return 0, errWire
	}
	return n, err
}

// SyscallConn is needed by a driver to check whether the connection is still open.
func (m *metered) SyscallConn() (syscall.RawConn, error) {
	if c, ok := m.Conn.(syscall.Conn); ok {
		return c.SyscallConn()
	}
	return nil, errors.New("not a socket")
}
