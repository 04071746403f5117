package http

import (
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// Address is the URL of a request, or a unix socket and a path, such as unix:///run/app.sock:/v1/info.
type Address struct {
	setting.PathOrURL        // if it is only a path, all targets of the job have this path
	socket            string // path of the unix socket; "" = none
}

// Place returns the address without its query, for messages.
func (a *Address) Place() string {
	if a.socket != "" {
		return httpclient.SocketScheme + a.socket + ":" + a.Path
	}
	return a.PathOrURL.Place()
}

// UnmarshalText parses a URL, or a unix socket and a path. A request to a socket has the host localhost.
func (a *Address) UnmarshalText(text []byte) error {
	if !strings.HasPrefix(string(text), "unix:") {
		return a.PathOrURL.UnmarshalText(text)
	}
	rest := strings.TrimPrefix(string(text), httpclient.SocketScheme)
	socket, path, _ := strings.Cut(rest, ":/")
	a.socket = socket
	if err := httpclient.CheckSocket(socket); err != nil {
		return err
	}
	return a.URL.UnmarshalText([]byte("http://localhost/" + path))
}

// MarshalText returns the address as it was written.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// String returns the address as it was written.
func (a *Address) String() string {
	if a.socket == "" {
		return a.PathOrURL.String()
	}
	return httpclient.SocketScheme + a.socket + ":" + strings.TrimPrefix(a.URL.String(), "http://localhost")
}
