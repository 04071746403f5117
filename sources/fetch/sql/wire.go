package sql

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
)

// wire makes connections of which no more than a number of bytes is read, so that a database that sends without end, or
// a cell that no memory can hold, ends the query.
type wire struct {
	connect func(ctx context.Context, network, address string) (net.Conn, error)
	left    atomic.Int64
}

// handshake is what is read beside the rows, at most: greetings, certificates, the names of columns.
const handshake = 1 << 20

var errWire = errors.New("the answer is larger than max_bytes")

func newWire(connect func(context.Context, string, string) (net.Conn, error)) *wire {
	if connect == nil {
		connect = (&net.Dialer{}).DialContext
	}
	return &wire{connect: connect}
}

// allow begins a tick, in which rows of so many bytes may come.
func (w *wire) allow(bytes int64) { w.left.Store(bytes + handshake) }

// isSpent tells whether more than that has come.
func (w *wire) isSpent() bool { return w.left.Load() < 0 }

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := w.connect(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &metered{conn, w}, nil
}

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

// SyscallConn lets a driver see whether the connection still stands.
func (m *metered) SyscallConn() (syscall.RawConn, error) {
	if c, ok := m.Conn.(syscall.Conn); ok {
		return c.SyscallConn()
	}
	return nil, errors.New("not a socket of the system's")
}
