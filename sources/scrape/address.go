package scrape

import (
	"errors"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources/discovery"
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

// socketLabel is the label of a target with the path of its unix socket, as in Prometheus.
const socketLabel = "__unix_socket__"

// errRemoteSocket is the error if a list from a server names a unix socket. A server must not choose a socket of this machine.
var errRemoteSocket = errors.New("a list from http_sd cannot name a unix socket")

func namesSocket(a *Address, g *discovery.Group) bool {
	return a.socket != "" || g.Labels[socketLabel] != ""
}

// setSocket sets the label with the path of the target's unix socket, if it has one.
func (a *Address) setSocket(b *labels.Builder) {
	if a.socket != "" {
		b.Set(socketLabel, a.socket)
	}
}
