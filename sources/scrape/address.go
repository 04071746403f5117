package scrape

import (
	"errors"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources/discovery"
)

// Address is a target: host:port, the URL of its page, whose scheme, path and query then replace those of the settings, or a
// unix socket such as unix:///run/app.sock.
type Address struct {
	setting.URL
	socket string // path of a unix socket
}

// UnmarshalText parses any form. The scheme is empty unless it is a URL.
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

// String returns the address as it is written.
func (a *Address) String() string {
	if a.socket != "" {
		return httpclient.SocketScheme + a.socket
	}
	return strings.TrimPrefix(a.URL.String(), "//")
}

// Place returns the address without its query, for messages.
func (a *Address) Place() string {
	if a.socket != "" {
		return a.String()
	}
	return strings.TrimPrefix(a.URL.Place(), "//")
}

// socketLabel is the label of a target that names its unix socket, as in Prometheus.
const socketLabel = "__unix_socket__"

// errRemoteSocket refuses to let a server choose a socket of this machine.
var errRemoteSocket = errors.New("a list from http_sd cannot name a unix socket")

func namesSocket(a *Address, g *discovery.Group) bool {
	return a.socket != "" || g.Labels[socketLabel] != ""
}

// setSocket sets the labels of the target's unix socket, if it has one.
func (a *Address) setSocket(b *labels.Builder) {
	if a.socket != "" {
		b.Set(socketLabel, a.socket)
	}
}
