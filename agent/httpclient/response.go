package httpclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/setting"
)

// Response is a response whose body is read within a [Limit]. Errors of its methods begin with the request's method and URL.
type Response struct {
	StatusCode int
	Header     http.Header

	// Request is the request that the server answered: after redirects, the last request. It has no credentials.
	Request *http.Request

	// ContentLength is the length of the body as the server says; -1 = not known. ReadBody reserves memory for it, up to
	// readAhead, but does not rely on it.
	ContentLength int64

	sent    *http.Request  // the first request
	resp    *http.Response // with the body
	redact  redactor
	filter  func(io.Reader) io.Reader
	bounded boundedReader
}

func newResponse(sent *http.Request, resp *http.Response, redact redactor) *Response {
	answered := resp.Request
	if answered == nil { // a Host.Transport may leave it nil
		answered = sent
	}
	return &Response{
		StatusCode: resp.StatusCode, Header: resp.Header, Request: answered, ContentLength: resp.ContentLength,
		sent: sent, resp: resp, redact: redact,
	}
}

// Identity returns what identifies the response that the server sent; 0 if the response cannot be used again. A response that is used again
// from the cache (cache_for) has the identity that it had when it came. A 304 is another response, with an identity of its own: it says that
// the bytes are the same, and an API that counts since the last request can count the same twice.
func (r *Response) Identity() uint64 {
	observed, ok := r.resp.Body.(*observedBody)
	if !ok {
		return 0
	}
	switch from := observed.raw.(type) {
	case *recordedBody:
		return from.id
	case *cachedBody:
		return from.of.id
	}
	return 0
}

// Limit is the maximum size of a response's body, decompressed.
type Limit struct {
	Bytes   setting.Bytes
	Setting string // the setting that raises the limit, for the error; "" = none
}

// TooLargeError reports a body that is larger than its limit.
type TooLargeError struct{ Limit Limit }

func (e *TooLargeError) Error() string {
	if e.Limit.Setting == "" {
		return fmt.Sprintf("the body exceeds %s", e.Limit.Bytes)
	}
	return fmt.Sprintf("the body exceeds %s (%s)", e.Limit.Setting, e.Limit.Bytes)
}

// readAhead is the maximum number of bytes that are reserved for a body because of its Content-Length alone.
const readAhead = 1 << 20

// maxCodingName is the maximum length of a content coding's name that an error shows.
const maxCodingName = 20

// ReadBody appends the body to the argument "into" and returns the extended slice. It returns this slice also together with an error, so
// that the caller can use the memory again. If the body is larger than the limit, the error is a [TooLargeError]; if already the
// Content-Length is larger, the body is not read at all.
func (r *Response) ReadBody(into []byte, limit Limit) ([]byte, error) {
	if err := r.acceptBody(limit); err != nil {
		return into, r.Wrap(err)
	}
	r.bounded = boundedReader{from: r.resp.Body, left: min(int64(limit.Bytes), math.MaxInt64-1), limit: limit}
	var body io.Reader = &r.bounded
	if r.filter != nil {
		body = r.filter(body)
	}
	begin := len(into)
	if ahead := min(r.ContentLength+1, readAhead); ahead > 0 {
		into = slices.Grow(into, int(ahead))
	}
	for {
		if len(into) == cap(into) {
			// The caller may keep the memory for the next body. So it grows only by a quarter, to a little more than the Content-Length,
			// and at most to one byte more than the limit: that byte shows that the limit is exceeded. If there is a filter, the memory may
			// grow beyond the limit: the filter may still hold many bytes when nearly all bytes within the limit have been read.
			held := int64(len(into) - begin)
			more := max(held/4, minRead)
			if rest := r.ContentLength - held; rest >= 0 && rest < more {
				more = min(more, rest+r.ContentLength/spareBody+1)
			}
			if r.filter == nil {
				more = max(min(more, r.bounded.left+1), 1)
			}
			into = append(make([]byte, 0, int64(len(into))+more), into...) // slices.Grow would grow it by more
		}
		n, err := body.Read(into[len(into):cap(into)])
		into = into[:len(into)+n]
		if err == io.EOF {
			return into, nil
		}
		if err != nil {
			return into, r.Wrap(err)
		}
	}
}

// spareBody says how much memory a body gets in addition to its Content-Length, because the next body may be a little longer. This
// additional memory is the Content-Length divided by spareBody.
const spareBody = 16

// minRead is the minimum number of bytes by which the memory for a body grows.
const minRead = 4 << 10

// acceptBody returns an error if the header alone shows that the body cannot be used.
func (r *Response) acceptBody(limit Limit) error {
	if r.resp.ContentLength > int64(limit.Bytes) {
		return &TooLargeError{limit}
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		if len(coding) > maxCodingName {
			coding = "an unknown coding"
		}
		return fmt.Errorf("the body is compressed with %q, want gzip or none: correct the server or the proxy in front of it", coding)
	}
	return nil
}

// boundedReader reads at most left+1 bytes. It fails with a TooLargeError when it has read more than left bytes.
type boundedReader struct {
	from  io.Reader
	left  int64
	limit Limit
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, &TooLargeError{b.limit}
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.from.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, &TooLargeError{b.limit}
	}
	return n, err
}

// Filter makes ReadBody read from filter(body) in place of the body. The limit of ReadBody applies to the unfiltered body.
func (r *Response) Filter(filter func(body io.Reader) io.Reader) { r.filter = filter }

// Excerpt returns the beginning of the body, at most max bytes, with secrets removed. It is for the text of error responses: if
// reading fails, it returns the bytes that were read before the failure. The body can still be read after Excerpt.
func (r *Response) Excerpt(max int) string {
	text, _ := io.ReadAll(io.LimitReader(r.resp.Body, int64(max)))
	r.resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(text), r.resp.Body), r.resp.Body}
	return r.redact.secret(string(text))
}

// Close closes the body. The caller must call Close also if the body was not read.
func (r *Response) Close() error { return r.resp.Body.Close() }

// Wrap returns err as an [Error] of this response's request. It is for problems with the content of a response. If err is nil, Wrap returns
// nil. If err is or wraps an Error, Wrap returns err unchanged.
func (r *Response) Wrap(err error) error {
	if _, ok := errors.AsType[*Error](err); ok || err == nil {
		return err
	}
	return requestError(r.redact, r.sent.WithContext(context.Background()), err)
}

// RetryAfter returns the pause that the response asks for; false if it asks for none.
func (r *Response) RetryAfter() (time.Duration, bool) { return retryAfter(r.Header, time.Now()) }

// Cookies returns the cookies that the response sets.
func (r *Response) Cookies() []*http.Cookie { return r.resp.Cookies() }

// maxStatusRead is how many bytes of an error response are read. It is more than is shown, because a secret that is cut in two
// would not be recognised and removed.
const maxStatusRead = 64 << 10

// StatusError returns an [Error] that wraps a [StatusError] with the response's status and the first line of its body:
// "POST https://a.example/push: 503 Service Unavailable: upstream down". It reads the body.
func (r *Response) StatusError() error {
	return r.Wrap(newStatusError(r.redact, r.resp, r.Excerpt(maxStatusRead)))
}
