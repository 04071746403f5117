package convert

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// client converts the settings of an HTTP client. Prometheus and json_exporter write them in the same way.
type client struct {
	out   *output
	notes *[]note
	name  string // name of the job or sink, used in the names of variables
}

// secretOf returns a reference to a secret. If the setting KEY_file is set, the reference names that file. If the
// setting KEY contains the secret itself, the reference names a variable that the user must set.
func (c *client) secretOf(n *node, key, variable string) string {
	if file := n.str(key + "_file"); file != "" {
		return "file:" + file
	}
	if !n.has(key) {
		return ""
	}
	ref := reference(c.name, variable)
	say(c.notes, n.get(key).line, key, "the secret is not copied: set %s", strings.TrimPrefix(ref, "env:"))
	return ref
}

// apply adds the settings for authentication, TLS and proxy.
func (c *client) apply(to *yaml.Node, n *node) {
	if b := n.get("basic_auth"); b != nil {
		user := b.str("username")
		if secretText(user) {
			user = ""
			c.out.lose(c.notes, b.line, "username", "it looks like a secret and is not copied: add it")
		}
		if b.has("username_file") {
			c.out.lose(c.notes, b.line, "username_file", "there is no counterpart: write the name here")
		}
		put(to, "basic_auth", object("username", user, "password", c.secretOf(b, "password", "password")))
	}
	if a := n.get("authorization"); a != nil {
		put(to, "authorization", object("type", c.scheme(a), "credentials", c.secretOf(a, "credentials", "token")))
	}
	if ref := c.secretOf(n, "bearer_token", "token"); ref != "" {
		put(to, "authorization", object("credentials", ref))
	}
	c.oauth2(to, n.get("oauth2"))
	c.tls(to, n.get("tls_config"))
	if n.has("proxy_url") {
		proxy := n.str("proxy_url")
		if a, ok := split(proxy, c.name, n.get("proxy_url").line); !ok || a.password != "" || len(a.query.Content) > 0 {
			proxy = reference(c.name, "proxy_url")
			say(c.notes, n.get("proxy_url").line, "proxy_url", "the address can hold a password and is not copied: set %s", strings.TrimPrefix(proxy, "env:"))
		}
		put(to, "proxy_url", proxy)
	}
	put(to, "no_proxy", n.str("no_proxy"))
	put(to, "proxy_from_environment", n.is("proxy_from_environment"))
	if v := n.get("follow_redirects"); v != nil && !n.is("follow_redirects") {
		c.out.lose(c.notes, v.line, "follow_redirects", "there is no counterpart: cton follows redirects, without credentials to another host")
	}
	if v := n.get("enable_http2"); v != nil {
		say(c.notes, v.line, "enable_http2", "there is no counterpart")
	}
	if v := n.get("http_headers"); v != nil {
		c.out.lose(c.notes, v.line, "http_headers", "there is no counterpart")
	}
	if v := n.get("proxy_connect_header"); v != nil {
		c.out.lose(c.notes, v.line, "proxy_connect_header", "there is no counterpart")
	}
}

func (c *client) scheme(a *node) string {
	scheme := a.str("type")
	if strings.EqualFold(scheme, "bearer") || strings.ContainsAny(scheme, " =:") || secretText(scheme) {
		return ""
	}
	return scheme
}

func (c *client) oauth2(to *yaml.Node, n *node) {
	if n == nil {
		return
	}
	token, ok := split(n.str("token_url"), c.name, n.line)
	if !ok || token.password != "" || len(token.query.Content) > 0 {
		c.out.lose(c.notes, n.line, "token_url", "it can hold a secret and is not copied: add it")
		return
	}
	o := object("client_id", n.str("client_id"), "client_secret", c.secretOf(n, "client_secret", "client_secret"), "token_url", token.url,
		"scopes", texts(n.strs("scopes")))
	params := object()
	for _, p := range n.pairs("endpoint_params") {
		if secretName(p.key) || secretText(p.value.str()) {
			c.out.lose(c.notes, p.line, "endpoint_params", "one of them can be a secret and is not copied")
			continue
		}
		put(params, p.key, p.value.str())
	}
	put(o, "endpoint_params", params)
	c.tls(o, n.get("tls_config"))
	put(to, "oauth2", o)
}

func (c *client) tls(to *yaml.Node, n *node) {
	if n == nil {
		return
	}
	t := object()
	for _, m := range n.pairs() {
		switch m.key {
		case "ca_file", "cert_file", "key_file", "server_name":
			put(t, m.key, m.value.str())
		case "min_version":
			put(t, m.key, m.value.str())
		case "insecure_skip_verify":
			put(t, m.key, m.value.is())
		default:
			c.out.lose(c.notes, m.line, "tls_config", "a setting has no counterpart: certificates and keys come from files")
		}
	}
	put(to, "tls_config", t)
}

// headers converts HTTP headers. If the value of a header can be a secret, a reference replaces it.
func (c *client) headers(n *node) *yaml.Node {
	h := object()
	for _, m := range n.pairs() {
		value := m.value.str()
		switch {
		case secretText(m.key):
			c.out.lose(c.notes, m.line, "headers", "the name of a header looks like a secret and is not copied")
		case !plainHeader(m.key) || secretText(value):
			ref := reference(c.name, m.key)
			say(c.notes, m.line, m.key, "the header is not copied, since it can be a secret: set %s to its whole value", strings.TrimPrefix(ref, "env:"))
			put(h, m.key, ref)
		default:
			c.variables(m.line, m.key, value)
			put(h, m.key, value)
		}
	}
	return h
}

// variables adds a note if a text refers to a variable. Such a text is not changed.
func (c *client) variables(line int, key, text string) {
	if substituted(text) {
		c.out.lose(c.notes, line, key, "it refers to a variable, which stays as it is: cton has references only in secrets, headers and query parameters")
	}
}

// single keeps only one kind of authentication: the header Authorization if there is one, otherwise the first kind.
func (c *client) single(set *yaml.Node, line int) {
	found := ""
	for i := 0; i+1 < len(set.Content); {
		key, value := set.Content[i].Value, set.Content[i+1]
		switch key {
		case "headers":
			for k := 0; k+1 < len(value.Content); k += 2 {
				if strings.EqualFold(value.Content[k].Value, "authorization") {
					found = "the header Authorization"
				}
			}
		case "basic_auth", "authorization", "oauth2", "sigv4":
			if found != "" {
				c.out.lose(c.notes, line, key, "it is left out, since %s is set too", found)
				set.Content = append(set.Content[:i], set.Content[i+2:]...)
				continue
			}
			found = key
		}
		i += 2
	}
}
