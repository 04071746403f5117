package httpclient

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
)

// SocketScheme is the prefix of a URL that names a unix socket.
const SocketScheme = "unix://"

// CheckSocket returns an error unless the path is absolute and can be the path of a unix socket.
func CheckSocket(path string) error {
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return errors.New("want the absolute path of a unix socket, such as unix:///run/app.sock")
	}
	return nil
}

// OverSocket returns the host for a client whose requests go to a unix socket, without a proxy. Requests for tokens go over the
// network as usual. The client does not use the rate limits and the cache of the process, because these identify servers by address.
func (h *Host) OverSocket(path string) *Host {
	over := *h
	over.socket = path
	return &over
}

// dialSocket connects to the host's unix socket.
func (h *Host) dialSocket(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", h.socket)
}
