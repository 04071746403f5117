package httpclient

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/collectington/collectington/agent/setting"
)

func dialError(err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 443}, Err: err}
}

func TestErrors(t *testing.T) {
	client := &Client{redact: redactor{new(setting.SecretStore)}}
	client.redact.secrets.Remember("hunter22")
	for _, c := range []struct {
		err  error
		want string
	}{
		{dialError(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "connection refused by 10.0.0.1:443"},
		{dialError(os.NewSyscallError("connect", syscall.ENETUNREACH)), "no route to 10.0.0.1:443"},
		{dialError(os.ErrDeadlineExceeded), "no answer from 10.0.0.1:443"},
		{os.NewSyscallError("read", syscall.ECONNRESET), "connection reset by the server"},
		{dialError(&net.DNSError{Err: "no such host", Name: "a.exmaple", IsNotFound: true}), "unknown host a.exmaple"},
		{dialError(&net.DNSError{Err: "server misbehaving", Name: "a.example"}), "DNS lookup of a.example: server misbehaving"},
		{&net.OpError{Op: "proxyconnect", Err: dialError(os.NewSyscallError("connect", syscall.ECONNREFUSED))}, "the proxy: connection refused by 10.0.0.1:443"},
		{io.EOF, "the server closed the connection without a response"},
		{fmt.Errorf("transport: %w", io.ErrUnexpectedEOF), "the body was cut short"},
		{http.ErrSchemeMismatch, "the server does not speak TLS: use http://"},
		{x509.UnknownAuthorityError{}, "the certificate is signed by an unknown authority: set tls_config.ca_file"},
		{x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, "the certificate is invalid: certificate is not authorized to sign other certificates"},
		{errors.New("odd\nhunter22 at https://bob:pw123@b.example/x?key=value-of-query, and more"), "odd <secret> at https://b.example/x and more"},
	} {
		err := client.explain(&url.Error{Op: "Get", URL: "https://bob:pw123@a.example/p/hunter22?key=value-of-query", Err: c.err})
		if want := "GET https://a.example/p/<secret>: " + c.want; err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if !errors.Is(err, c.err) {
			t.Errorf("%v does not wrap its cause", err)
		}
		if got := client.explain(client.explain(err)); got.Error() != err.Error() {
			t.Errorf("explained twice: %v", got)
		}
	}
}

func TestErrorsOfOtherOrigin(t *testing.T) {
	client := &Client{redact: redactor{new(setting.SecretStore)}}
	client.redact.secrets.Remember("hunter22")
	if got := client.explain(errors.New("parse hunter22")).Error(); got != "parse <secret>" {
		t.Errorf("got %s", got)
	}
	if got := new(Client).explain(context.Canceled); !errors.Is(got, context.Canceled) {
		t.Errorf("got %v", got)
	}
}

func TestNamesSecret(t *testing.T) {
	for name, want := range map[string]bool{
		"X-Api-Key": true, "apikey": true, "Authorization": true, "X-Auth": true, "access_token": true, "Cookie": true, "X-Password": true,
		"client_secret": true, "X-Amz-Signature": true, "page": false, "keywords": false, "metricKeys": false, "author": false, "Accept": false, "X-Scope-OrgID": false, "User-Agent": false, "": false,
	} {
		if NamesSecret(name) != want {
			t.Errorf("%q: got %v", name, !want)
		}
	}
}

func TestRememberNamed(t *testing.T) {
	h := &Host{Secrets: new(setting.SecretStore)}
	h.RememberNamed("X-Api-Key", "literal-key")
	h.RememberNamed("X-Api-Key-Version", "2026")
	h.RememberNamed("X-Scope", "operations")
	if got := h.Secrets.Scrub("literal-key 2026 operations"); got != "<secret> 2026 operations" {
		t.Errorf("got %q", got)
	}
	new(Host).RememberNamed("X-Api-Key", "literal-key")
}

func FuzzRedactURL(f *testing.F) {
	f.Add("https://bob:pw@a.example/x?a=1&key=hunter22&hunter22")
	f.Add("https://a.example/?&&=&api%5Fkey=b%zz&%zz=hunter22")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil || strings.Contains(u.Scheme, "hunter22") {
			return
		}
		h := &Host{Secrets: new(setting.SecretStore)}
		h.Secrets.Remember("hunter22")
		shown := h.redactor().url(u)
		if strings.Contains(shown, "hunter22") {
			t.Errorf("%q is shown as %q", text, shown)
		}
		for pair := range strings.SplitSeq(u.RawQuery, "&") {
			if value, found := strings.CutPrefix(pair, "key="); found && len(value) > 8 && strings.Contains(shown, "key="+value) && value != blank {
				t.Errorf("%q is shown as %q", text, shown)
			}
		}
	})
}
