package sinks

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestReachOf checks who can reach a listener.
func TestReachOf(t *testing.T) {
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "web.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 8000} }
	for _, c := range []struct {
		name    string
		address net.Addr
		config  string
		want    Reach
	}{
		{"all addresses", tcp("::"), "", Anyone},
		{"all of IPv4", tcp("0.0.0.0"), "", Anyone},
		{"an address", tcp("192.0.2.7"), "", Anyone},
		{"IPv4 loopback", tcp("127.0.0.1"), "", Machine},
		{"another one", tcp("127.8.8.8"), "", Machine},
		{"IPv6 loopback", tcp("::1"), "", Machine},
		{"a socket", &net.UnixAddr{Name: "/run/s", Net: "unix"}, "", Trusted},
		{"passwords", tcp("::"), file("basic_auth_users: {bob: hash}"), Trusted},
		{"no passwords", tcp("::"), file("basic_auth_users: {}"), Anyone},
		{"TLS only", tcp("::"), file("tls_server_config: {cert_file: a, key_file: b}"), Anyone},
		{"certificates if given", tcp("::"), file("tls_server_config: {client_auth_type: VerifyClientCertIfGiven}"), Anyone},
		{"any certificate", tcp("::"), file("tls_server_config: {client_auth_type: RequireAnyClientCert}"), Anyone},
		{"certificates", tcp("::"), file("tls_server_config: {client_auth_type: RequireAndVerifyClientCert}"), Trusted},
		{"no file", tcp("::"), "/nowhere", Anyone},
		{"no YAML", tcp("::"), file("basic_auth_users: ["), Anyone},
	} {
		if got := ReachOf(c.address, c.config); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
