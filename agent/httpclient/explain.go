package httpclient

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/collectington/collectington/agent/setting"
)

// Error is why a request got no response that may be used. Its text is "GET https://api.example.com/v1: connection
// refused": without the query, and without secrets.
type Error struct {
	Method string
	Place  string
	Err    error
}

func (e *Error) Error() string { return e.Method + " " + e.Place + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Explain is what to show of an error that a client has returned. net/http puts the whole address before it, and with the
// query the keys that stand there; Explain puts an [Error] in its place. Every error of a client goes through here.
func (h *Host) Explain(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		place := ""
		if u, err := url.Parse(e.URL); err == nil {
			place = setting.Place(u)
		}
		return &Error{strings.ToUpper(e.Op), h.Secrets.Scrub(place), h.reason(context.Background(), e.Err)}
	}
	return h.reason(context.Background(), err)
}

// failed is the error of a request.
func (h *Host) failed(req *http.Request, err error) error {
	return &Error{req.Method, h.Secrets.Scrub(setting.Place(req.URL)), h.reason(req.Context(), err)}
}

// reason gives an error its short form. Errors that have it already stay.
func (h *Host) reason(ctx context.Context, err error) error {
	if e, ok := err.(*Error); ok {
		return e
	}
	if e, ok := err.(*short); ok {
		return e
	}
	if _, ok := errors.AsType[*Error](err); ok { // of a login, which says already what went wrong
		return &short{h.clean(err.Error()), []error{err}}
	}
	if ctx.Err() != nil {
		return h.ended(ctx)
	}
	cause, prefix := err, ""
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "proxyconnect" {
		cause, prefix = op.Err, "the proxy: "
	}
	text := cmp.Or(dialText(cause), tlsText(cause), cause.Error())
	return &short{h.clean(prefix + text), []error{err}}
}

// ended says what ended the context: whoever sets a time-out gives its name as the cause.
func (h *Host) ended(ctx context.Context) error {
	cause := context.Cause(ctx)
	text := cause.Error()
	switch cause {
	case context.DeadlineExceeded:
		text = "timed out"
	case context.Canceled:
		text = "cancelled"
	}
	return &short{h.clean(text), []error{cause, ctx.Err()}}
}

// dialText speaks of a connection, "" if err does not.
func dialText(err error) string {
	address := "the server"
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
		address = op.Addr.String()
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		if name.IsNotFound {
			return "unknown host " + name.Name
		}
		return fmt.Sprintf("the name server does not tell the address of %s: %s", name.Name, name.Err)
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused by " + address
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset by " + address
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to " + address
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the body was cut short"
	case errors.Is(err, io.EOF):
		return "the server closed the connection without an answer"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && op.Timeout() {
		return "no answer from " + address
	}
	return ""
}

// tlsText speaks of certificates and handshakes, with the remedy; "" if err does not.
func tlsText(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate is signed by an authority that this host does not know: set tls_config.ca_file"
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("the certificate is not for %s: ask by its right name, or set tls_config.server_name", e.Host)
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return "the certificate is out of date, or this host's clock is wrong: " + e.Detail
		}
		return "the certificate cannot be used: " + strings.TrimPrefix(e.Error(), "x509: ")
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return "the server does not speak TLS: use http://"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the server does not speak TLS: use http://"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" { // an alert, which has no type of its own
		return "the server refused the TLS handshake: " + strings.TrimPrefix(op.Err.Error(), "tls: ") +
			" (a client certificate is set by tls_config.cert_file and key_file)"
	}
	return ""
}

// short is an error with a text for people, that is still what it was to errors.Is.
type short struct {
	text string
	errs []error
}

func (s *short) Error() string   { return s.text }
func (s *short) Unwrap() []error { return s.errs }
