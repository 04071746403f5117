package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// Limits of a recorder.
const (
	maxRecorded      = 200       // number of exchanges
	maxRecordedBytes = 128 << 20 // size of all bodies together
)

// recorder records the requests and responses of a job. As a transport it plays the responses back.
type recorder struct {
	mu    sync.Mutex
	all   []*recorded
	bytes int // size of the bodies that were read, also of bytes that were not recorded
}

// recorded is a request and its response.
type recorded struct {
	method, url string
	asked       string // the request's body
	status      int
	header      http.Header
	body        []byte
}

// tap returns a transport whose exchanges are recorded.
func (r *recorder) tap(next http.RoundTripper) http.RoundTripper { return &tapped{next, r} }

type tapped struct {
	next http.RoundTripper
	*recorder
}

// RoundTrip sends the request and records the response. It records only the part of the body that the caller reads.
func (t *tapped) RoundTrip(req *http.Request) (*http.Response, error) {
	asked, err := bodyText(req)
	if err != nil {
		return nil, err
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	one := &recorded{method: req.Method, url: req.URL.String(), asked: asked, status: resp.StatusCode, header: resp.Header.Clone()}
	if t.add(one) {
		resp.Body = &recordedBody{resp.Body, t.recorder, one}
	}
	return resp, nil
}

// CloseIdleConnections closes the idle connections of the transport below.
func (t *tapped) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (r *recorder) add(one *recorded) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) >= maxRecorded {
		return false
	}
	r.all = append(r.all, one)
	return true
}

type recordedBody struct {
	io.ReadCloser
	recorder *recorder
	one      *recorded
}

func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.recorder.mu.Lock()
	defer b.recorder.mu.Unlock()
	if b.recorder.bytes += n; b.recorder.bytes <= maxRecordedBytes {
		b.one.body = append(b.one.body, p[:n]...)
	}
	return n, err
}

// bodyText returns a copy of a request's body; the body can still be read.
func bodyText(req *http.Request) (string, error) {
	if req.GetBody == nil {
		return "", nil
	}
	body, err := req.GetBody()
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	return string(text), err
}

// answer returns the newest successful response, or nil if there is none.
func (r *recorder) answer() *recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.all) - 1; i >= 0; i-- {
		if one := r.all[i]; one.status >= 200 && one.status < 300 {
			return one
		}
	}
	return nil
}

// RoundTrip returns the newest recorded response to an equal request.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	asked, err := bodyText(req)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.all) - 1; i >= 0; i-- {
		if one := r.all[i]; one.method == req.Method && one.url == req.URL.String() && one.asked == asked {
			return &http.Response{
				Status: fmt.Sprintf("%d %s", one.status, http.StatusText(one.status)), StatusCode: one.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
				Header: one.header.Clone(), Body: io.NopCloser(bytes.NewReader(one.body)), ContentLength: int64(len(one.body)), Request: req,
			}, nil
		}
	}
	return nil, errors.New("this request was not made while recording: record again with --save")
}
