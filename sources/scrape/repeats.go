package scrape

import (
	"bytes"
	"io"
)

// repeats is a page on its way that gives the lines at its beginning which repeat the last page straight to the reader, and
// leaves the rest to whoever reads it. So most pages need no memory. Until the rest begins, nothing is touched but the
// target, which no other worker has.
type repeats struct {
	io.Reader
	reader *reader
	window []byte
	rest   bool  // all that the window holds, and comes then, is left
	err    error // the end
}

func (x *repeats) Read(p []byte) (n int, err error) {
	for !x.rest {
		n, x.err = x.Reader.Read(x.window[len(x.window):cap(x.window)])
		x.window = x.window[:len(x.window)+n]
		x.take()
	}
	if len(x.window) > 0 {
		n = copy(p, x.window)
		x.window = x.window[n:]
		return n, nil
	}
	if x.err != nil {
		return 0, x.err
	}
	return x.Reader.Read(p)
}

// take gives the reader what it can take of the window, and keeps the beginning of a line for when the rest of it has come.
func (x *repeats) take() {
	r := x.reader
	r.rest = x.window
	r.failed = r.contained(func() error {
		_, err := r.repeated()
		return err
	})
	left := copy(x.window, r.rest)
	x.window = x.window[:left]
	x.rest = x.err != nil || r.failed != nil || left == cap(x.window) || bytes.IndexByte(x.window, '\n') >= 0
}
