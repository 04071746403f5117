package webserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// unixPrefix is the beginning of the address of a unix socket. An absolute path follows it.
const unixPrefix = "unix://"

// socketMode is the mode of a unix socket. It allows access for the user and group of the agent.
const socketMode = 0o660

// listen binds the address. If that fails, the error says what the user can do.
func (s *Server) listen(ctx context.Context) (net.Listener, error) {
	l, err := listen(ctx, s.Listen)
	if err == nil {
		return l, nil
	}
	text := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		text = "the address is in use by another program; choose another with listen"
	case errors.Is(err, syscall.EACCES):
		text = "permission denied; choose a port above 1023 with listen"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		text = "this machine does not have the address; choose another with listen"
	default:
		if op, ok := errors.AsType[*net.OpError](err); ok {
			text = op.Err.Error()
		}
	}
	return nil, fmt.Errorf("listen on %s: %w", s.Listen, &textError{cmp.Or(text, err.Error()), err})
}

// listen listens on host:port or unix:///path. It replaces a socket file that an earlier process has left behind.
func listen(ctx context.Context, address string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, unixPrefix)
	if !isUnix {
		return new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && isLeftSocket(path) {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		l, err = new(net.ListenConfig).Listen(ctx, "unix", path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// isLeftSocket reports whether path is a socket file on which no process listens.
func isLeftSocket(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// CheckListen returns an error if a value of the setting "listen" is not host:port.
func CheckListen(listen string) error {
	_, _, err := split(listen)
	return err
}

// CheckSocket returns an error if a value of the setting "listen" is neither host:port nor unix:///path.
func CheckSocket(listen string) error {
	path, isUnix := strings.CutPrefix(listen, unixPrefix)
	if !isUnix {
		if CheckListen(listen) != nil {
			return errors.New("want host:port, such as 127.0.0.1:8002, or unix:///run/cton.sock")
		}
		return nil
	}
	if !strings.HasPrefix(path, "/") || strings.ContainsRune(path, 0) {
		return errors.New("want an absolute path, such as unix:///run/cton.sock")
	}
	return nil
}

// split returns the host and the port of a value of the setting "listen". If the host is "", the server listens on all addresses of the
// machine.
func split(listen string) (host string, port uint16, err error) {
	host, digits, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if ip, e := netip.ParseAddr(host); e == nil && ip.IsUnspecified() {
		host = ""
	}
	return host, uint16(n), err
}

// Claim returns a text for the address in a value of the setting "listen". Only one server can use an address, and all spellings of the
// same address give the same text. For port 0, which means any free port, the text is "".
func Claim(listen string) string {
	if path, isUnix := strings.CutPrefix(listen, unixPrefix); isUnix {
		return "the socket " + path
	}
	host, port, err := split(listen)
	if err != nil || port == 0 {
		return ""
	}
	if strings.EqualFold(host, "localhost") {
		host = "127.0.0.1"
	}
	return "the address " + net.JoinHostPort(host, strconv.Itoa(int(port)))
}
