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
	"strings"
	"syscall"

	"github.com/collectington/collectington/agent/setting"
)

// Error reports a request that failed, or whose response cannot be used. The text is for users:
// "GET https://api.example.com/v1: connection refused by 192.0.2.1:443". It contains no query and no secret.
type Error struct {
	Method string
	URL    string // without its query
	Err    error
}

func (e *Error) Error() string { return e.Method + " " + e.URL + ": " + e.Err.Error() }

// Unwrap returns the cause. errors.Is and errors.As also find the original error of net/http.
func (e *Error) Unwrap() error { return e.Err }

// requestError explains err, and returns it as the [Error] of a request.
func requestError(redact redactor, req *http.Request, err error) *Error {
	return &Error{req.Method, redact.secret(setting.Place(req.URL)), explain(req.Context(), redact, err)}
}

// explainedError has a text for users and wraps the original errors.
type explainedError struct {
	text string
	errs []error
}

func (e *explainedError) Error() string   { return e.text }
func (e *explainedError) Unwrap() []error { return e.errs }

// explain returns an error with a short text. The text has no secrets, and says what to do if that is known. If the context is done, the
// text is the cause of the context. An error that is already explained is returned unchanged.
func explain(ctx context.Context, redact redactor, err error) error {
	switch err.(type) {
	case *Error, *explainedError, *StatusError, *TooLargeError:
		return err
	}
	if _, ok := errors.AsType[*Error](err); ok { // the error of a token request that was sent for this request
		return &explainedError{redact.text(err.Error()), []error{err}}
	}
	if ctx.Err() != nil && !saysMore(ctx, err) {
		return contextError(ctx, redact)
	}
	cause, prefix := err, ""
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "proxyconnect" {
		cause, prefix = op.Err, "the proxy: "
	}
	text := cmp.Or(dialText(cause), tlsText(cause), cause.Error())
	return &explainedError{redact.text(prefix + text), []error{err}}
}

// saysMore reports whether an error after a time-out says more than the error of the context. An example is an error that names the
// process which holds the lock of the credentials.
func saysMore(ctx context.Context, err error) bool {
	_, ok := errors.AsType[*CredentialsError](err)
	return ok && !errors.Is(err, context.Cause(ctx)) && !errors.Is(err, ctx.Err())
}

// contextError returns why the context is done. Code that sets a time-out gives the name of the time-out as the cause.
func contextError(ctx context.Context, redact redactor) error {
	cause := context.Cause(ctx)
	text := cause.Error()
	switch cause {
	case context.DeadlineExceeded:
		text = "timed out"
	case context.Canceled:
		text = "cancelled"
	}
	return &explainedError{redact.text(text), []error{cause, ctx.Err()}}
}

// dialText explains an error of a connection; it returns "" for any other error.
func dialText(err error) string {
	address := "the server"
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
		address = op.Addr.String()
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		if name.IsNotFound {
			return "unknown host " + name.Name
		}
		return fmt.Sprintf("DNS lookup of %s: %s", name.Name, name.Err)
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
		return "the server closed the connection without a response"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && op.Timeout() {
		return "no answer from " + address
	}
	return ""
}

// tlsText explains an error of a certificate or a handshake and names the setting that helps; it returns "" for any other error.
func tlsText(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate is signed by an unknown authority: set tls_config.ca_file"
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("the certificate is not valid for %s: use the name that it is valid for, or set tls_config.server_name", e.Host)
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return "the certificate has expired or is not yet valid, or this host's clock is wrong: " + e.Detail
		}
		return "the certificate is invalid: " + strings.TrimPrefix(e.Error(), "x509: ")
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return "the server does not speak TLS: use http://"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the server does not speak TLS: use http://"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return alertText(strings.TrimPrefix(op.Err.Error(), "tls: "))
	}
	if strings.HasPrefix(err.Error(), "tls: server selected unsupported protocol version") {
		return "the server speaks only an old version of TLS: set tls_config.min_version: TLS10"
	}
	return ""
}

// alertText explains a TLS alert of the server (RFC 8446 section 6.2) and names the setting that helps. The package crypto/tls does not
// export an error for each alert, so alertText compares the texts of alerts.
func alertText(alert string) string {
	text := "the server refused the TLS handshake: " + alert
	switch alert {
	case "protocol version not supported":
		return text + ": it speaks only an old version of TLS: set tls_config.min_version: TLS10"
	case "handshake failure", "insufficient security level":
		return text + ": it shares no cipher with cton, or wants a client certificate: for an old device set tls_config.min_version: TLS10, " +
			"and if it has RSA key exchange alone start cton with the environment variable GODEBUG=tlsrsakex=1; " +
			"a client certificate is set by tls_config.cert_file and key_file"
	case "unrecognized name":
		return text + ": it does not know the name of the URL: set tls_config.server_name"
	case "certificate required", "bad certificate", "unknown certificate", "unknown certificate authority", "unsupported certificate",
		"expired certificate", "revoked certificate", "access denied":
		return text + ": it wants another client certificate: set tls_config.cert_file and key_file"
	}
	return text
}
