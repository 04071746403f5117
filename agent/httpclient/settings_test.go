package httpclient

import (
	"strings"
	"testing"

	"github.com/collectington/collectington/agent/setting"
)

func TestSettingsAreAllOptional(t *testing.T) {
	if err := new(Settings).Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateAccepts(t *testing.T) {
	for _, text := range []string{
		`basic_auth: {username: ops, password: "file:/run/secrets/x"}`,
		`basic_auth: {username: "env:USER"}`,
		`authorization: {credentials: "env:TOKEN"}`,
		`authorization: {type: Token, credentials: "env:TOKEN"}`,
		`oauth2: {client_id: a, client_secret: "env:S", token_url: "https://l.example/t", scopes: [a, b], endpoint_params: {audience: x}, proxy_url: "http://p:1"}`,
		`tls_config: {ca_file: ca.pem, cert_file: c.pem, key_file: k.pem, server_name: x, min_version: TLS13, insecure_skip_verify: true}`,
		`{proxy_url: "http://proxy:3128", no_proxy: "a.example,.b.example"}`,
		`proxy_url: "env:PROXY"`,
		`proxy_url: "socks5://proxy:1080"`,
		`proxy_from_environment: true`,
	} {
		if err := settings(t, text).Validate(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	const badType = `authorization.type: want a scheme such as Bearer, or a scheme and a parameter such as "Token token="`
	for text, want := range map[string]string{
		`basic_auth: {}`:                                        "basic_auth: set username and password",
		`basic_auth: {username: "a:b"}`:                         "basic_auth.username: cannot contain a colon: it would end the name",
		`authorization: {}`:                                     "authorization.credentials: is required",
		`authorization: {type: basic, credentials: "env:A"}`:    "authorization.type: use basic_auth for a user name and password",
		`authorization: {type: "a b", credentials: "env:A"}`:    badType,
		`authorization: {type: "a b c=", credentials: "env:A"}`: badType,
		`authorization: {type: "a=", credentials: "env:A"}`:     badType,
		`authorization: {type: "a =", credentials: "env:A"}`:    badType,
		`oauth2: {}`: "oauth2.client_id: is required\noauth2.client_secret: is required\noauth2.token_url: is required",
		`oauth2: {client_id: a, client_secret: "env:S", token_url: "https://l.example/t", scopes: [a], endpoint_params: {scope: b}, no_proxy: x, tls_config: {key_file: k}}`: "oauth2.endpoint_params.scope: is set by scopes already: remove one of them\n" +
			"oauth2.tls_config.cert_file: is required where key_file is set\n" +
			"oauth2.no_proxy: needs proxy_url; with proxy_from_environment set NO_PROXY instead",
		`{basic_auth: {username: a}, authorization: {credentials: "env:A"}, oauth2: {client_id: a, client_secret: "env:S", token_url: "https://l.example/t"}}`: "authorization: basic_auth is set too: set only one way to authenticate\n" +
			"oauth2: basic_auth is set too: set only one way to authenticate",
		`tls_config: {cert_file: c}`:                              "tls_config.key_file: is required where cert_file is set, unless that is a PKCS #12 file (.p12 or .pfx)",
		`{proxy_url: "http://p:1", proxy_from_environment: true}`: "proxy_from_environment: proxy_url is set too: set only one of them",
		`proxy_url: "ftp://p:1"`:                                  "proxy_url: want a URL such as http://proxy.example.com:3128 (http, https, socks5 or socks5h)",
		`proxy_url: "http://bob:hunter22@p:1"`:                    `proxy_url: a URL must not contain a user or password: put the whole URL into an environment variable and write "env:NAME"`,
	} {
		var lines []string
		for _, p := range setting.Problems(settings(t, text).Validate()) {
			lines = append(lines, p.Error())
		}
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", text, got, want)
		}
	}
}

func TestTLSVersion(t *testing.T) {
	for _, name := range []string{"TLS10", "TLS11", "TLS12", "TLS13", ""} {
		var v TLSVersion
		if err := v.UnmarshalText([]byte(name)); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if got, _ := v.MarshalText(); string(got) != name {
			t.Errorf("%q is written as %q", name, got)
		}
	}
	var v TLSVersion
	wantError(t, v.UnmarshalText([]byte("1.2")), "want TLS10, TLS11, TLS12 or TLS13")
}
