package exposition

import (
	"bytes"
	"io"
)

// Stream is the body of a page without the lines at the beginning that the reader knows from the last scrape. The reader takes the
// values of these lines while the body is read. So most pages need almost no memory.
type Stream struct {
	io.Reader
	reader *Reader
	window []byte
	isRest bool  // no more lines are passed to the reader
	err    error // the error at the end of the body
}

// Stream returns the body without the known lines at its beginning. The argument "window" is the memory through which these lines are read.
// Streams of several targets may be read concurrently.
func (r *Reader) Stream(body io.Reader, window []byte) *Stream {
	return &Stream{Reader: body, reader: r, window: window[:0]}
}

func (s *Stream) Read(p []byte) (n int, err error) {
	for !s.isRest {
		n, s.err = s.Reader.Read(s.window[len(s.window):cap(s.window)])
		s.window = s.window[:len(s.window)+n]
		s.take()
	}
	if len(s.window) > 0 {
		n = copy(p, s.window)
		s.window = s.window[n:]
		return n, nil
	}
	if s.err != nil {
		return 0, s.err
	}
	return s.Reader.Read(p)
}

// take passes the known lines in the window to the reader. An incomplete line at the end stays in the window for the next call.
func (s *Stream) take() {
	r := s.reader
	r.rest = s.window
	r.failed = r.pool.contain(func() error {
		_, err := r.takeKnown()
		return err
	})
	left := copy(s.window, r.rest)
	s.window = s.window[:left]
	s.isRest = s.err != nil || r.failed != nil || left == cap(s.window) || bytes.IndexByte(s.window, '\n') >= 0
}
