package sinks

import (
	"net"
	"os"

	"go.yaml.in/yaml/v4"
)

// Reach says who can reach a server.
type Reach uint8

// The values of Reach, from the widest to the narrowest.
const (
	Anyone  Reach = iota // anyone on the network, without a password
	Machine              // programs on this machine, including browsers
	Trusted              // clients with a password, a client certificate, or access to the socket's file
)

// ReachOf returns who can reach a server that listens on the address. The argument webConfigFile is the path of a web config file of
// exporter-toolkit; "" means that there is none. ReachOf reads the file at each call, because the toolkit also reads it at each request.
func ReachOf(address net.Addr, webConfigFile string) Reach {
	if address.Network() == "unix" || authenticates(webConfigFile) {
		return Trusted
	}
	if tcp, ok := address.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return Machine
	}
	return Anyone
}

// authenticates reports whether a web config file asks for a password or a client certificate.
func authenticates(webConfigFile string) bool {
	if webConfigFile == "" {
		return false
	}
	text, err := os.ReadFile(webConfigFile)
	var file struct {
		Users map[string]string `yaml:"basic_auth_users"`
		TLS   struct {
			ClientAuth string `yaml:"client_auth_type"`
		} `yaml:"tls_server_config"`
	}
	if err != nil || yaml.Unmarshal(text, &file) != nil {
		return false
	}
	return len(file.Users) > 0 || file.TLS.ClientAuth == "RequireAndVerifyClientCert"
}
