package httpclient

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// A request passes these layers, each an http.RoundTripper:
//
//	http.Client         redirects (redirect.go)
//	requestTransport    leaves the caller's request unchanged, explains errors (client.go)
//	authTransport       credentials (authentication.go)
//	exchangeTransport   User-Agent, gzip, Host.Observe (this file)
//	cacheTransport      cached and conditional responses (cache.go)
//	throttledTransport  rate limits, Retry-After, quotas (throttle.go)
//	movingTransport     new connections when the server's name gets another address (moving.go)
//	http.Transport      TLS, proxy (tls.go, proxy.go), or Host.Transport

// Limits of connections. The time of a request is limited by its context.
const (
	dialTimeout      = 10 * time.Second // net/http goes on dialing after the request has ended
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 90 * time.Second // more than a minute, the usual interval of jobs
	maxIdlePerHost   = 8
	maxIdle          = 32
	maxHeaderBytes   = 256 << 10
)

// newTransport returns exchangeTransport and the layers below it.
func newTransport(h *Host, t *TLS, p *Proxy) http.RoundTripper {
	network := h.Transport
	if network == nil {
		network = newNetworkTransport(h, t, p)
	}
	transport := http.RoundTripper(&exchangeTransport{next: withSharedState(h, network, t, p), host: h, redact: h.redactor()})
	if h.Tap != nil {
		transport = h.Tap(transport)
	}
	return transport
}

// newNetworkTransport returns the layers that connect to servers.
func newNetworkTransport(h *Host, t *TLS, p *Proxy) http.RoundTripper {
	if h.socket != "" {
		p = &Proxy{}
	}
	transport := t.transport(h, func(cfg *tls.Config) http.RoundTripper {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(t == nil || !t.HTTP1Only)
		return newMovingTransport(h, func(dial dialFunc) *http.Transport {
			return &http.Transport{
				Proxy:                  p.proxyFunc(h.Secrets),
				OnProxyConnectResponse: checkProxyConnect,
				DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
					ctx, cancel := context.WithTimeout(ctx, dialTimeout)
					defer cancel()
					return dial(ctx, network, address)
				},
				TLSClientConfig:     cfg,
				TLSHandshakeTimeout: handshakeTimeout,
				Protocols:           protocols,
				// Pings detect a dead HTTP/2 connection. Without pings it would be used on and on, since it is not closed when a request
				// times out.
				HTTP2:                  &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
				DisableCompression:     true, // exchangeTransport decompresses gzip
				MaxIdleConns:           maxIdle,
				MaxIdleConnsPerHost:    maxIdlePerHost,
				IdleConnTimeout:        idleTimeout,
				MaxResponseHeaderBytes: maxHeaderBytes,
			}
		})
	})
	if r, ok := transport.(*reloadingTransport); ok && h.Unready != nil {
		if err := r.ready(); err != nil {
			h.Unready(err)
		}
	}
	return transport
}

func closeIdle(transport http.RoundTripper) {
	if c, ok := transport.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// checkProxyConnect returns an error if a proxy refuses CONNECT. The error of net/http does not name the proxy.
func checkProxyConnect(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	do := "check whether it allows this host and port, and can reach it"
	if resp.StatusCode == http.StatusProxyAuthRequired {
		do = "check the login in its URL (proxy_url, or HTTPS_PROXY)"
	}
	return fmt.Errorf("the proxy %s refuses the connection with %s: %s", proxy.Host, statusText(resp.StatusCode), do)
}

// observerKey is the context key of an observer.
type observerKey struct{}

// WithObserver returns a context for requests whose exchanges go to the function "observe", in place of Host.Observe.
func WithObserver(ctx context.Context, observe func(Exchange)) context.Context {
	return context.WithValue(ctx, observerKey{}, observe)
}

// observerOf returns the observer of requests with a context.
func observerOf(ctx context.Context, h *Host) func(Exchange) {
	if observe, ok := ctx.Value(observerKey{}).(func(Exchange)); ok {
		return observe
	}
	return h.Observe
}

// exchangeTransport sets the User-Agent, decompresses gzip and calls Host.Observe. It is allowed to change the request, because the
// request is a copy.
type exchangeTransport struct {
	next   http.RoundTripper
	host   *Host
	redact redactor
}

func (e *exchangeTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Header.Get("User-Agent") == "" && e.host.UserAgent != "" {
		req.Header.Set("User-Agent", e.host.UserAgent)
	}
	if req.Header.Get("Accept-Encoding") == "" && req.Method != http.MethodHead {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	o := &observation{observe: observerOf(req.Context(), e.host), redact: e.redact, ctx: req.Context(), begin: time.Now()}
	if o.observe != nil {
		o.exchange = Exchange{
			Method: req.Method,
			URL:    e.redact.url(req.URL),
			Host:   req.URL.Host,
			Header: e.redact.header(req.Header),
		}
		if req.Host != "" && req.Host != req.URL.Host {
			o.exchange.Header.Set("Host", e.redact.secret(req.Host))
		}
		if !e.host.forTokens {
			o.exchange.Body = e.redact.body(req)
		}
		req = req.WithContext(context.WithValue(req.Context(), waitedKey{}, &o.exchange.Waited))
	}
	resp, err := e.next.RoundTrip(req)
	if err != nil {
		_, o.exchange.Unsent = errors.AsType[*WaitError](err)
		err = explain(req.Context(), e.redact, err)
		o.end(err)
		return nil, err
	}
	o.response(resp)
	resp.Body = &observedBody{from: gunzip(resp), raw: resp.Body, observation: o}
	return resp, nil
}

func (e *exchangeTransport) CloseIdleConnections() { closeIdle(e.next) }

// observation is an exchange that has not ended yet. It calls the observer once, when the exchange ends.
type observation struct {
	observe  func(Exchange)
	redact   redactor
	ctx      context.Context
	begin    time.Time
	once     sync.Once
	exchange Exchange
}

// response sets the status and the quota of the exchange from a response, which came from the network or from the cache.
func (o *observation) response(resp *http.Response) {
	o.exchange.Code = resp.StatusCode
	if cached, ok := resp.Body.(*cachedBody); ok {
		o.exchange.Revalidated, o.exchange.Unsent = cached.code != 0, cached.code == 0
		o.exchange.Code = cmp.Or(cached.code, resp.StatusCode)
	}
	if q, ok := quotaOf(resp.Header, time.Now()); ok && !o.exchange.Unsent {
		o.exchange.Quota = &q
	}
}

func (o *observation) end(err error) {
	o.once.Do(func() {
		if o.observe == nil {
			return
		}
		o.exchange.Err = err
		o.exchange.Took = time.Since(o.begin)
		o.observe(o.exchange)
	})
}

// observedBody counts the bytes that are read from a response's body and explains errors.
type observedBody struct {
	from        io.Reader
	raw         io.Closer
	observation *observation
}

func (b *observedBody) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	o := b.observation
	o.exchange.Bytes += int64(n)
	switch {
	case err == io.EOF:
		o.end(nil)
	case err != nil:
		err = explain(o.ctx, o.redact, err)
		o.end(err)
	}
	return n, err
}

func (b *observedBody) Close() error {
	err := b.raw.Close()
	b.observation.end(nil)
	return err
}

// gunzip returns the response's body, decompressed if it is gzip. As net/http does, it removes gzip from the header.
func gunzip(resp *http.Response) io.Reader {
	if !strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		return resp.Body
	}
	resp.Header.Del("Content-Encoding")
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	resp.Uncompressed = true
	return &gzipReader{from: resp.Body}
}

// gzipReader decompresses gzip. It reads the gzip header at the first Read, so that a slow body does not delay the response.
type gzipReader struct {
	from io.Reader
	gzip *gzip.Reader
	err  error
}

func (g *gzipReader) Read(p []byte) (int, error) {
	if g.gzip == nil && g.err == nil {
		from := bufio.NewReader(g.from)
		if begin, _ := from.Peek(2); len(begin) > 0 && string(begin) != "\x1f\x8b" { // the magic number, RFC 1952
			g.err = errors.New("the header Content-Encoding says gzip, but the body is not compressed: correct the server or the proxy in front of it, " +
				"or fetch the URL with an exec source that runs curl")
		} else {
			g.gzip, g.err = gzip.NewReader(from)
		}
	}
	if g.err != nil {
		return 0, g.err
	}
	return g.gzip.Read(p)
}
