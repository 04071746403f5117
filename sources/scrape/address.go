package scrape

import (
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// Address is the address of a target. It is host:port, a URL, or a unix socket such as unix:///run/app.sock. The scheme, path and
// query of a URL replace those of the settings.
type Address struct {
	setting.URL
	socket string // path of the unix socket; "" = none
}

// UnmarshalText parses an address. If the address is not a URL, the scheme is empty.
func (a *Address) UnmarshalText(text []byte) error {
	written := string(text)
	if path, ok := strings.CutPrefix(written, httpclient.SocketScheme); ok {
		a.socket, a.Host = path, "localhost"
		return httpclient.CheckSocket(path)
	}
	isURL := strings.Contains(written, "://")
	if !isURL {
		text = append([]byte("http://"), text...)
	}
	if err := a.URL.UnmarshalText(text); err != nil {
		return err
	}
	if !isURL {
		a.Scheme = ""
	}
	return nil
}

// checkTarget returns why the text is not an address.
func checkTarget(text string) error { return new(Address).UnmarshalText([]byte(text)) }

// MarshalText implements [encoding.TextMarshaler].
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// String returns the address as it was written.
func (a *Address) String() string {
	if a.socket != "" {
		return httpclient.SocketScheme + a.socket
	}
	return strings.TrimPrefix(a.URL.String(), "//")
}

// Place returns the address without its query. It is for messages.
func (a *Address) Place() string {
	if a.socket != "" {
		return a.String()
	}
	return strings.TrimPrefix(a.URL.Place(), "//")
}
