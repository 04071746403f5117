package httpclient

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
)

// counted counts the bytes that are read from a body.
type counted struct {
	io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counted) Close() error { return nil }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func response(body io.Reader, length int64) (*Response, *counted) {
	c := &counted{Reader: body}
	req := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: "a.example", Path: "/"}}
	return newResponse(req, &http.Response{StatusCode: 200, Header: http.Header{}, Body: c, ContentLength: length, Request: req}, redactor{}), c
}

func TestReadBodyLimit(t *testing.T) {
	const max = 10000
	for _, size := range []int{0, 1, 511, 4096, 4097, max - 1, max, max + 1, 3 * max} {
		for _, known := range []bool{true, false} {
			length := int64(-1)
			if known {
				length = int64(size)
			}
			resp, read := response(strings.NewReader(strings.Repeat("x", size)), length)
			got, err := resp.ReadBody(nil, maxBody(max))
			if size <= max {
				if err != nil || len(got) != size {
					t.Errorf("%d bytes: got %d, %v", size, len(got), err)
				}
				continue
			}
			if err == nil || err.Error() != "GET http://a.example/: the body exceeds max_body (10kB)" {
				t.Errorf("%d bytes: got error %v", size, err)
			}
			if known && read.n != 0 || read.n > max+1 {
				t.Errorf("%d bytes, known %v: %d were read", size, known, read.n)
			}
		}
	}
}

func TestReadBodyMemory(t *testing.T) {
	const max = 8 << 20
	for _, length := range []int64{-1, max} {
		resp, read := response(zeros{}, length)
		got, err := resp.ReadBody(nil, maxBody(max))
		if err == nil || read.n > max+1 || cap(got) > max*3/2 {
			t.Errorf("length %d: %d bytes read, %d held, %v", length, read.n, cap(got), err)
		}
	}
	// A body with a Content-Length takes little more memory than this length, although the memory grows by a quarter at a time.
	for size := int64(readAhead); size < max; size += 100_001 {
		resp, _ := response(io.LimitReader(zeros{}, size), size)
		got, err := resp.ReadBody(nil, maxBody(max))
		if held := int64(cap(got)); err != nil || int64(len(got)) != size || held > size+size/spareBody+16<<10 {
			t.Errorf("%d bytes read of %d, %d held, %v", len(got), size, held, err)
		}
	}
	// Content-Length alone reserves little memory.
	resp, _ := response(strings.NewReader("short"), 1<<40)
	if got, err := resp.ReadBody(nil, Limit{Bytes: math.MaxInt64}); err != nil || string(got) != "short" || cap(got) > 2*readAhead {
		t.Errorf("%d bytes held, %v", cap(got), err)
	}
}

// TestReadBodyGrowsInFewSteps checks that the memory does not grow byte by byte if a filter still holds the body when the limit is reached,
// or if the Content-Length is the largest possible one.
func TestReadBodyGrowsInFewSteps(t *testing.T) {
	const window = 64 << 10
	for name, c := range map[string]struct {
		size   int
		length int64
		limit  Limit
		window int // size of the buffer of a filter
	}{
		"filter":         {window, -1, maxBody(window), window},
		"Content-Length": {window, math.MaxInt64, Limit{Bytes: math.MaxInt64}, 0},
	} {
		want := strings.Repeat("x", c.size)
		resp, _ := response(strings.NewReader(want), c.length)
		steps := 0
		resp.Filter(func(body io.Reader) io.Reader { return countedReads{bufio.NewReaderSize(body, c.window), &steps} })
		got, err := resp.ReadBody(nil, c.limit)
		if err != nil || string(got) != want || steps > 50 {
			t.Errorf("%s: %d bytes in %d reads, %v", name, len(got), steps, err)
		}
	}
}

type countedReads struct {
	io.Reader
	n *int
}

func (c countedReads) Read(p []byte) (int, error) {
	*c.n++
	return c.Reader.Read(p)
}

func TestReadBodyReusesMemory(t *testing.T) {
	into := make([]byte, 0, 1<<20)
	body := strings.Repeat("x", 100<<10)
	resp, _ := response(nil, -1)
	reader := strings.NewReader(body)
	resp.resp.Body = io.NopCloser(reader)
	allocs := testing.AllocsPerRun(5, func() {
		reader.Reset(body)
		into, _ = resp.ReadBody(into[:0], maxBody(1<<20))
	})
	if len(into) != len(body) || allocs > 2 {
		t.Errorf("%d bytes with %v allocations", len(into), allocs)
	}
	resp, _ = response(strings.NewReader("new"), 3)
	if got, err := resp.ReadBody([]byte("old "), maxBody(10)); string(got) != "old new" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestReadBodyRefusesOtherCodings(t *testing.T) {
	resp, read := response(strings.NewReader("x"), -1)
	resp.Header.Set("Content-Encoding", "br")
	_, err := resp.ReadBody(nil, maxBody(10))
	wantError(t, err, `the body is compressed with "br", want gzip or none`)
	if read.n != 0 {
		t.Errorf("%d bytes were read", read.n)
	}
}

func TestGzipBomb(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	io.CopyN(z, zeros{}, 4<<20)
	z.Close()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Encoding", "gzip")
			rw.Header().Set("Content-Length", fmt.Sprint(bomb.Len()))
			rw.Write(bomb.Bytes())
		}))
		_, _, err := w.get(t.Context(), w.client(t, ""), "http://a.example/")
		wantError(t, err, "the body exceeds max_body (1MiB)")
		if n := w.exchanges()[0].Bytes; n != 1<<20+1 {
			t.Errorf("%d bytes were decompressed", n)
		}
	})
}

func TestBrokenGzip(t *testing.T) {
	var good bytes.Buffer
	z := gzip.NewWriter(&good)
	io.WriteString(z, "some text that is long enough")
	z.Close()
	for body, want := range map[string]string{
		"":                                    "",
		"plain text":                          "the header Content-Encoding says gzip, but the body is not compressed",
		good.String()[:good.Len()-10]:         "the body was cut short",
		good.String()[:good.Len()-1] + "\xff": "gzip: invalid checksum",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Encoding", "gzip")
				io.WriteString(rw, body)
			}))
			got, _, err := w.get(t.Context(), w.client(t, ""), "http://a.example/")
			if want == "" && (got != "" || err != nil) {
				t.Errorf("an empty body: got %q, %v", got, err)
			} else if want != "" {
				wantError(t, err, want)
			}
		})
	}
}

// upper is a reader that a source puts before ReadBody.
type upper struct{ io.Reader }

func (u upper) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	copy(p, bytes.ToUpper(p[:n]))
	return n, err
}

// nothing skips all of the body.
type nothing struct{ io.Reader }

func (x nothing) Read([]byte) (int, error) {
	_, err := io.Copy(io.Discard, x.Reader)
	return 0, cmp.Or(err, io.EOF)
}

// TestFilter checks that ReadBody reads what a filter returns, and that the limit holds for what the filter reads.
func TestFilter(t *testing.T) {
	resp, _ := response(strings.NewReader("abc"), 3)
	resp.Filter(func(body io.Reader) io.Reader { return upper{body} })
	if got, err := resp.ReadBody(nil, maxBody(3)); string(got) != "ABC" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	resp, read := response(zeros{}, -1)
	resp.Filter(func(body io.Reader) io.Reader { return nothing{body} })
	got, err := resp.ReadBody(nil, maxBody(1000))
	if _, tooLarge := errors.AsType[*TooLargeError](err); !tooLarge || len(got) > 0 || read.n != 1001 {
		t.Errorf("%d bytes read, %d returned, %v", read.n, len(got), err)
	}
}

func TestWrap(t *testing.T) {
	resp, _ := response(strings.NewReader(""), 0)
	err := resp.Wrap(errors.New("odd\nanswer"))
	wantError(t, err, "GET http://a.example/: odd answer")
	if resp.Wrap(err) != err || resp.Wrap(nil) != nil {
		t.Error("an error is wrapped twice, or nil is")
	}
}
