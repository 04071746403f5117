package httpclient

import (
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// exchanges is the innermost layer: it names the agent, undoes gzip and tells the host of every exchange. The request is
// its own to change.
type exchanges struct {
	next http.RoundTripper
	host *Host
}

func (e *exchanges) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Header.Get("User-Agent") == "" && e.host.UserAgent != "" {
		req.Header.Set("User-Agent", e.host.UserAgent)
	}
	if req.Header.Get("Accept-Encoding") == "" && req.Method != http.MethodHead {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	watch := &watch{host: e.host, ctx: req.Context(), begin: time.Now()}
	if e.host.Observe != nil {
		watch.seen = Exchange{
			Method: req.Method,
			URL:    e.host.redactURL(req.URL),
			Host:   req.URL.Host,
			Header: e.host.redactHeader(req.Header),
			Body:   e.host.sentBody(req),
		}
	}
	resp, err := e.next.RoundTrip(req)
	if err != nil {
		_, watch.seen.Unsent = errors.AsType[*WaitError](err)
		err = e.host.reason(req.Context(), err)
		watch.over(err)
		return nil, err
	}
	watch.came(resp)
	resp.Body = &body{from: unzipped(resp), raw: resp.Body, watch: watch}
	return resp, nil
}

func (e *exchanges) CloseIdleConnections() { closeIdle(e.next) }

// watch tells the host of an exchange, once.
type watch struct {
	host  *Host
	ctx   context.Context
	begin time.Time
	once  sync.Once
	seen  Exchange
}

// came notes a response, which may be one that came before.
func (w *watch) came(resp *http.Response) {
	w.seen.Code = resp.StatusCode
	if r, ok := resp.Body.(*replayed); ok {
		w.seen.Kept, w.seen.Unsent = r.code != 0, r.code == 0
		w.seen.Code = cmp.Or(r.code, resp.StatusCode)
	}
	if q, ok := quotaOf(resp.Header, time.Now()); ok && !w.seen.Unsent {
		w.seen.Quota = &q
	}
}

func (w *watch) over(err error) {
	w.once.Do(func() {
		if w.host.Observe == nil {
			return
		}
		w.seen.Err = err
		w.seen.Took = time.Since(w.begin)
		w.host.Observe(w.seen)
	})
}

// body counts what is read of a response, and gives errors their short form.
type body struct {
	from  io.Reader
	raw   io.Closer
	watch *watch
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.watch.seen.Bytes += int64(n)
	switch {
	case err == io.EOF:
		b.watch.over(nil)
	case err != nil:
		err = b.watch.host.reason(b.watch.ctx, err)
		b.watch.over(err)
	}
	return n, err
}

func (b *body) Close() error {
	err := b.raw.Close()
	b.watch.over(nil)
	return err
}

// unzipped is the response's body without gzip; the header then says nothing of gzip any more, as with net/http.
func unzipped(resp *http.Response) io.Reader {
	if !strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		return resp.Body
	}
	resp.Header.Del("Content-Encoding")
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	resp.Uncompressed = true
	return &unzip{from: resp.Body}
}

// unzip waits with the header of gzip until it is asked, so that a slow body does not hold up the response.
type unzip struct {
	from io.Reader
	gzip *gzip.Reader
	err  error
}

func (u *unzip) Read(p []byte) (int, error) {
	if u.gzip == nil && u.err == nil {
		u.gzip, u.err = gzip.NewReader(u.from)
	}
	if u.err != nil {
		return 0, u.err
	}
	return u.gzip.Read(p)
}
