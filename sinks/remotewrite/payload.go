package remotewrite

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"

	"github.com/golang/snappy"
)

// payload is a compressed request body. An HTTP transport may go on reading a body after it has returned, so the memory is
// used again only when every reader has been closed.
type payload struct {
	packed  []byte
	readers *atomic.Int32
}

// pack compresses body in snappy's block format, into the payload's memory if nobody reads it any more.
func (p *payload) pack(body []byte) {
	if p.readers == nil || p.readers.Load() > 0 {
		p.packed, p.readers = nil, new(atomic.Int32)
	}
	// Encode goes by a slice's length, not by its capacity.
	p.packed = snappy.Encode(p.packed[:cap(p.packed)], body)
}

// open has the form of http.Request.GetBody.
func (p *payload) open() (io.ReadCloser, error) {
	p.readers.Add(1)
	readers := p.readers
	return &reader{bytes.NewReader(p.packed), sync.OnceFunc(func() { readers.Add(-1) })}, nil
}

type reader struct {
	*bytes.Reader
	closed func()
}

func (r *reader) Close() error {
	r.closed()
	return nil
}
