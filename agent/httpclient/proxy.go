package httpclient

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	promconfig "github.com/prometheus/common/config"

	"github.com/collectington/collectington/agent/setting"
)

// Proxy is the settings of the proxy that requests go through; the zero value means no proxy.
type Proxy struct {
	// ProxyURL is an http, https, socks5 or socks5h URL, or a reference to such a URL. A URL with a user or password must be a reference.
	ProxyURL setting.Text `yaml:"proxy_url"`
	// NoProxy lists the servers that are reached without the proxy, separated by commas: hosts, .domains, addresses, networks.
	NoProxy string `yaml:"no_proxy"`
	// ProxyFromEnvironment takes the proxy from the environment variables HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
	ProxyFromEnvironment bool `yaml:"proxy_from_environment"`
}

var errProxyURL = errors.New("want a URL such as http://proxy.example.com:3128 (http, https, socks5 or socks5h)")

func (p *Proxy) validate() error {
	var problems []error
	if p.ProxyURL != "" && p.ProxyFromEnvironment {
		problems = append(problems, setting.Errorf("proxy_from_environment", "proxy_url is set too: set only one of them"))
	}
	if p.NoProxy != "" && p.ProxyURL == "" {
		problems = append(problems, setting.Errorf("no_proxy", "needs proxy_url; with proxy_from_environment set NO_PROXY instead"))
	}
	if p.ProxyURL != "" && !p.ProxyURL.IsReference() {
		u, err := parseProxy(string(p.ProxyURL))
		switch {
		case err != nil:
			problems = append(problems, setting.Errorf("proxy_url", "%v", err))
		case u.User != nil:
			problems = append(problems, setting.Errorf("proxy_url",
				`a URL must not contain a user or password: put the whole URL into an environment variable and write "env:NAME"`))
		}
	}
	return errors.Join(problems...)
}

func parseProxy(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		return nil, errProxyURL
	}
	return u, nil
}

// proxyFunc returns a function that finds the proxy of a request. It returns nil if the settings have no proxy. If ProxyURL is a
// reference, the returned function reads the reference at each call.
func (p *Proxy) proxyFunc(secrets *setting.SecretStore) func(*http.Request) (*url.URL, error) {
	if p.ProxyURL == "" && !p.ProxyFromEnvironment {
		return nil
	}
	return func(req *http.Request) (*url.URL, error) {
		cfg := promconfig.ProxyConfig{NoProxy: p.NoProxy, ProxyFromEnvironment: p.ProxyFromEnvironment}
		if p.ProxyURL != "" {
			text, err := secrets.Text(p.ProxyURL)
			if err != nil {
				return nil, setting.Errorf("proxy_url", "%v", err)
			}
			if cfg.ProxyURL.URL, err = parseProxy(text); err != nil {
				return nil, setting.Errorf("proxy_url", "%v", err)
			}
		}
		proxy, err := cfg.Proxy()(req)
		if err == nil && proxy != nil && proxy.User != nil {
			password, _ := proxy.User.Password()
			secrets.RememberLogin(proxy.User.Username(), password)
		}
		return proxy, err
	}
}
