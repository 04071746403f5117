package http

import (
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// Address is the URL of a request, or a unix socket and a path, such as unix:///run/app.sock:/v1/info.
type Address struct {
	setting.URL
	socket   string // path of the unix socket; "" = none
	relative bool   // the address is only a path and a query, without a server; the targets of the job name the servers
}

// noHost is put before a relative address, so that the result is a URL.
const noHost = "http://target.invalid"

// Place returns the address without its query, for messages.
func (a *Address) Place() string {
	if a.socket != "" {
		return httpclient.SocketScheme + a.socket + ":" + a.Path
	}
	return a.URL.Place()
}

// UnmarshalText parses a URL, or a unix socket and a path. A request to a socket has the host localhost.
func (a *Address) UnmarshalText(text []byte) error {
	if a.relative = strings.HasPrefix(string(text), "/"); a.relative {
		return a.URL.UnmarshalText([]byte(noHost + string(text)))
	}
	if !strings.HasPrefix(string(text), "unix:") {
		return a.URL.UnmarshalText(text)
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
	switch {
	case a.relative:
		return strings.TrimPrefix(a.URL.String(), noHost)
	case a.socket == "":
		return a.URL.String()
	}
	return httpclient.SocketScheme + a.socket + ":" + strings.TrimPrefix(a.URL.String(), "http://localhost")
}
