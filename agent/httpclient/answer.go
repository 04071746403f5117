package httpclient

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"time"
)

// answer is a response that can be used again. It does not change.
type answer struct {
	at     time.Time // when it was asked for
	header http.Header
	body   []byte // as it came
}

// overhead is about what an answer takes beside its body.
const overhead = 1 << 10

func (a *answer) size() int { return len(a.body) + overhead }

// condition is a request that is answered by 304 where the answer still holds (RFC 9110 section 13.1). Of nil it is the
// request itself.
func (a *answer) condition(req *http.Request) *http.Request {
	if a == nil {
		return req
	}
	name, value := validator(a.header)
	if value == "" {
		return req
	}
	req = req.Clone(req.Context())
	req.Header.Set(name, value)
	return req
}

// isConditional tells whether the job has conditions of its own.
func isConditional(req *http.Request) bool {
	return req.Header.Get("If-None-Match") != "" || req.Header.Get("If-Modified-Since") != ""
}

// validator is the header by which to ask whether an answer still holds. Last-Modified says so only where nothing can have
// changed within its second any more (RFC 9110 section 8.8.2.2).
func validator(header http.Header) (name, value string) {
	if tag := header.Get("ETag"); tag != "" {
		return "If-None-Match", tag
	}
	modified, err := http.ParseTime(header.Get("Last-Modified"))
	date, err2 := http.ParseTime(header.Get("Date"))
	if err != nil || err2 != nil || date.Sub(modified) < time.Second {
		return "", ""
	}
	return "If-Modified-Since", header.Get("Last-Modified")
}

// confirmed is the answer with the headers of the 304 that has confirmed it (RFC 9111 section 3.2).
func (a *answer) confirmed(header http.Header, at time.Time) *answer {
	again := &answer{at: at, header: a.header.Clone(), body: a.body}
	for name, values := range header {
		if !strings.HasPrefix(name, "Content-") {
			again.header[name] = values
		}
	}
	return again
}

// replay is the response anew, with what stands for its body. Code is that of the response that has confirmed it; 0 =
// nobody was asked.
func (a *answer) replay(req *http.Request, code int) *http.Response {
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header.Clone(), Body: &replayed{bytes.NewReader(a.body), code}, ContentLength: int64(len(a.body)), Request: req,
	}
}

// replayed is the body of an answer that was kept.
type replayed struct {
	*bytes.Reader
	code int
}

func (*replayed) Close() error { return nil }

// record keeps the response once its body has been read to the end, if it is good for anything later.
func (p *polite) record(resp *http.Response, key digest, begin time.Time, release func()) {
	_, tag := validator(resp.Header)
	secret := strings.Contains(strings.ToLower(resp.Header.Get("Cache-Control")), "no-store")
	wanted := p.maxAge > 0 || tag != "" && !secret && resp.Header.Get("Vary") != "*"
	if resp.StatusCode != http.StatusOK || !wanted || resp.ContentLength > maxAnswer {
		release()
		return
	}
	header := resp.Header.Clone() // as it came: undoing gzip changes it
	resp.Body = &recorded{ReadCloser: resp.Body, release: release, keep: func(body []byte) {
		p.traffic.kept.put(key, &answer{begin, header, body})
	}}
}

// recorded is a body that is kept as it is read.
type recorded struct {
	io.ReadCloser
	keep    func(body []byte)
	release func()
	body    []byte
	over    bool
}

func (r *recorded) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	if r.over {
		return n, err
	}
	if len(r.body)+n > maxAnswer {
		r.end()
		return n, err
	}
	r.body = append(r.body, b[:n]...)
	switch {
	case err == io.EOF:
		r.keep(bytes.Clone(r.body)) // without what appending has set aside
		r.end()
	case err != nil:
		r.end()
	}
	return n, err
}

func (r *recorded) end() {
	r.over, r.body = true, nil
	r.release()
}

func (r *recorded) Close() error {
	if !r.over {
		r.end()
	}
	return r.ReadCloser.Close()
}
