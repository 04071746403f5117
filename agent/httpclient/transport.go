package httpclient

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// What a client allows itself and its peers. A request's own bound is its context.
const (
	dialTimeout      = 10 * time.Second // a dial outlives its request, so it needs a bound of its own
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 90 * time.Second // above the usual interval of a minute
	maxIdlePerHost   = 8
	maxIdle          = 32
	maxHeaderBytes   = 256 << 10
)

// transport sends requests and observes them.
func (h *Host) transport(t *TLS, p *Proxy) (http.RoundTripper, error) {
	if h.Answer != nil {
		return &exchanges{next: h.polite(h.Answer, t, p), host: h}, nil
	}
	dial := h.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	dir := ""
	if h.Secrets != nil {
		dir = h.Secrets.Dir
	}
	sender, err := t.wrap(dir, func(cfg *tls.Config) (http.RoundTripper, error) {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(true)
		return &http.Transport{
			Proxy:                  p.choose(h.Secrets),
			OnProxyConnectResponse: refusedByProxy,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, dialTimeout)
				defer cancel()
				return dial(ctx, network, address)
			},
			TLSClientConfig:     cfg,
			TLSHandshakeTimeout: handshakeTimeout,
			Protocols:           protocols,
			// A dead HTTP/2 connection is found out by pings: the time-out of a request does not close it.
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
			DisableCompression:     true, // exchanges does it, so that it sees the size
			MaxIdleConns:           maxIdle,
			MaxIdleConnsPerHost:    maxIdlePerHost,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHeaderBytes,
		}, nil
	})
	if err != nil {
		return nil, err
	}
	return &exchanges{next: h.polite(sender, t, p), host: h}, nil
}

// refusedByProxy tells of a proxy that does not let a request through; net/http alone gives its words without its name.
func refusedByProxy(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("the proxy %s answers CONNECT with %s", proxy.Host, statusText(resp.StatusCode))
}

// explained is the outermost layer: it keeps the caller's request as it is and gives every error its short form.
type explained struct {
	next http.RoundTripper
	host *Host
}

func (e *explained) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := e.next.RoundTrip(req.Clone(req.Context()))
	if err != nil {
		return nil, e.host.failed(req, err)
	}
	return resp, nil
}

func (e *explained) CloseIdleConnections() { closeIdle(e.next) }

func closeIdle(transport http.RoundTripper) {
	if c, ok := transport.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
