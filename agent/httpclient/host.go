// Package httpclient makes HTTP requests for sources and sinks. No other package does.
//
// A plug-in inlines [Settings] into its own configuration, gets a [Client] from the [Host] of its environment, and sends
// requests with it:
//
//	client, err := env.Web.Client(&c.Settings)
//	…
//	resp, err := client.Do(req)
//	if err != nil {
//		return err
//	}
//	defer resp.Close()
//	body, err := resp.ReadBody(buffer[:0], httpclient.Limit{Bytes: c.MaxBody, Setting: "max_body"})
//
// The package promises to authors of plug-ins:
//
//   - Do returns a response only for a status of 2xx.
//   - A body is decompressed if it is gzip, and read within a limit, which applies to the decompressed size.
//   - Every error is ready to be shown: it begins with the method and the URL, says what went wrong and which setting helps,
//     and contains no query and no secret. errors.Is and errors.As find the original error.
//   - TLS, proxies and authentication follow the settings. Secrets and files are read again when they change. A file that cannot
//     be used only makes requests fail, until it can be used again.
//   - Credentials never go to another origin: a redirect to another origin is refused.
//   - When the name of a server gets another address, requests go to that address, within 20 seconds or with the next request.
//   - Rate limits, Retry-After and quotas of a server apply to all jobs that send it requests, if the host has [SharedState].
//   - The context of a request is its only time-out.
package httpclient

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/collectington/collectington/agent/setting"
)

// Host is what the program provides to a job or a sink for HTTP. With the zero value, requests are sent without secrets.
type Host struct {
	Secrets   *setting.SecretStore
	UserAgent string
	Providers map[string]Provider // by name, as in the setting auth

	// Dial replaces net.Dialer; nil = net.Dialer. Tests set an in-memory network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Resolve replaces the DNS lookup of a host's addresses; nil = the lookup of the system. If Resolve is set, Dial is called
	// with addresses. If only Dial is set, Dial resolves names, and the client does not notice when an address changes.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	// Transport, if not nil, answers every request in place of the network. No connection is made and no certificate is
	// read. Rate limits, authentication, redaction and observation work as usual.
	Transport http.RoundTripper

	// Tap, if not nil, wraps the layers below authentication. The wrapper sees requests with their credentials, and
	// decompressed bodies of responses.
	Tap func(http.RoundTripper) http.RoundTripper

	// Shared is the state that the jobs of the process share; nil = no rate limits and no cache.
	Shared *SharedState

	// Observe is called after every exchange, possibly by several goroutines at once; nil = no observer.
	Observe func(Exchange)

	// Unready is called by Client if requests would fail because a file of tls_config cannot be used; nil = no observer.
	Unready func(error)

	policy    *RequestPolicy // nil = none
	socket    string         // path of the unix socket to which all requests go; "" = none
	forTokens bool           // the requests ask for tokens, so their bodies are not shown
	signs     *signedClient  // in the host of an Authenticator: the client whose requests it signs; else nil
}

// Exchange is one request and its outcome. It can be shown: secrets are replaced. Each redirect is a separate exchange, and so
// is each request for a token.
type Exchange struct {
	Method string
	URL    string // with its query
	Host   string
	Header http.Header // of the request

	// Body returns the beginning of the request's body; nil = there is none, or the request asks for a token.
	Body func() string

	Code  int   // 0 = no response
	Err   error // why there is no response, or why its body ended early
	Bytes int64 // bytes that were read from the response's body, decompressed
	Took  time.Duration

	// Waited is the part of Took in which the request waited before it was sent or given up. It waits because of rate_limit, or because
	// the server has asked for a pause by Retry-After or a quota.
	Waited time.Duration

	Unsent      bool   // nothing was sent: the cache answered, or a limit did not allow the request
	Revalidated bool   // the server answered 304 Not Modified, so the body comes from the cache
	Quota       *Quota // how many more requests the server accepts; nil = the server did not say
}

// RememberNamed registers the value of a header or parameter as a secret if the name says that it is one: settings may contain
// an API key as plain text. Call it at each use, since the oldest secrets are forgotten.
func (h *Host) RememberNamed(name, value string) {
	if NamesSecret(name) && len(value) >= minGuessed {
		h.Secrets.Remember(value)
	}
}

// Under returns the host for a client whose settings are below path in the configuration. Errors that are passed to Unready then
// begin with that path.
func (h *Host) Under(path string) *Host {
	under := *h
	if h.Unready != nil {
		under.Unready = func(err error) { h.Unready(setting.Under(path, err)) }
	}
	return &under
}

func (h *Host) redactor() redactor { return redactor{h.Secrets} }
