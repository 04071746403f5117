package convert

import (
	"cmp"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// timeout returns the timeout of an input, or "" if it has none.
func (t *telegraf) timeout(n *node, j *job) string {
	if !n.has("timeout") {
		return ""
	}
	d, err := time.ParseDuration(n.str("timeout"))
	if err != nil || d <= 0 {
		t.out.lose(&j.notes, n.get("timeout").line, "timeout", "it is not a duration")
		return ""
	}
	return short(d)
}

// http adds a job for each URL of an input.
func (t *telegraf) http(plugin string, n *node, base job) {
	urls := n.get("urls").asList()
	if plugin == "httpjson" {
		urls = n.get("servers").asList()
		base.name = "httpjson_" + n.str("name")
	}
	for _, u := range urls {
		j := base
		j.kind, j.timeout = "http", t.timeout(n, &j)
		set, tag := t.request(n, u, &j)
		j.settings = set
		t.finish(plugin, n, j, tag)
	}
}

// request returns the settings of an HTTP request, and the tag url.
func (t *telegraf) request(n, u *node, j *job) (*yaml.Node, []tagOut) {
	c := client{t.out, &j.notes, j.name}
	a, ok := split(u.str(), j.name, u.line)
	if !ok {
		t.out.lose(&j.notes, u.line, "urls", "an address is not copied, since it is no URL or can hold a secret")
		a.url = "http://TARGET"
	}
	j.notes = append(j.notes, a.notes...)
	c.variables(u.line, "urls", a.url)
	set := object("url", escapeTemplate(a.url))
	method := strings.ToUpper(n.str("method"))
	if method != "GET" {
		put(set, "method", method)
	}
	put(set, "query", a.query)
	put(set, "headers", c.headers(n.get("headers")))
	if body := n.str("body"); secretText(body) {
		t.out.lose(&j.notes, n.get("body").line, "body", "the body can hold a secret and is not copied: add it")
	} else if body != "" {
		c.variables(n.get("body").line, "body", body)
		put(set, "body", escapeTemplate(body))
	}
	t.credentials(set, n, a, c)
	put(set, "valid_status_codes", t.out.statusCodes(&j.notes, n, "success_status_codes"))
	if !ok || a.url != u.str() {
		return set, nil // the tag would show the parts of the address that were not copied
	}
	return set, []tagOut{{name: "url", value: a.url, constant: true, origin: origin{variable: variableIn(a.url) != ""}}}
}

// credentials adds the settings for authentication, TLS and proxy.
func (t *telegraf) credentials(set *yaml.Node, n *node, a address, c client) {
	switch {
	case n.has("username") || n.has("password"):
		user := n.str("username")
		if secretText(user) {
			user = ""
		}
		put(set, "basic_auth", object("username", user, "password", c.secretOf(n, "password", "password")))
	case a.user != "" || a.password != "":
		put(set, "basic_auth", object("username", a.user, "password", a.password))
	case n.has("token_file"):
		put(set, "authorization", object("credentials", "file:"+n.str("token_file")))
	case n.has("bearer_token"):
		put(set, "authorization", object("credentials", "file:"+n.str("bearer_token")))
	case n.has("token"):
		put(set, "authorization", object("credentials", c.secretOf(n, "token", "token")))
	case n.has("client_id"):
		c.oauth2(set, n)
	}
	tls := object("ca_file", n.str("tls_ca"), "cert_file", n.str("tls_cert"), "key_file", n.str("tls_key"), "server_name", n.str("tls_server_name"),
		"insecure_skip_verify", n.is("insecure_skip_verify"))
	put(set, "tls_config", tls)
	if proxy := n.str("http_proxy_url"); proxy != "" {
		settings := &node{kind: mapping}
		settings.set("proxy_url", n.get("http_proxy_url").line, n.get("http_proxy_url"))
		c.apply(set, settings)
	}
	put(set, "proxy_from_environment", n.is("use_system_proxy"))
	c.single(set, n.line)
}

// exec adds a job for each command.
func (t *telegraf) exec(n *node, base job) {
	commands := n.get("commands").asList()
	if len(commands) == 0 {
		commands = n.get("command").asList()
	}
	for _, c := range commands {
		j := base
		j.kind, j.timeout = "exec", t.timeout(n, &j)
		set := object()
		words, err := shellWords(c.str())
		if err != nil {
			t.out.lose(&t.out.problems, c.line, "commands", "a quote is not closed; the command is left out")
			continue
		}
		if !command(t.out, &t.out.problems, set, c.line, words) {
			continue
		}
		var env []member
		for _, e := range n.get("environment").asList() {
			name, value, _ := strings.Cut(e.str(), "=")
			env = append(env, member{key: name, line: e.line, value: &node{kind: scalarString, text: value}})
		}
		put(set, "env", variables(t.out, &j.notes, j.name, env))
		j.settings = set
		t.finish("exec", n, j, nil)
	}
}

// shellWords splits a command into words at spaces outside of quotes, as Telegraf does. The command is not run by a shell.
func shellWords(s string) ([]string, error) {
	var words []string
	var b strings.Builder
	var quoted byte
	inside := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quoted == '\'' && c != '\'', quoted == '"' && c != '"' && c != '\\':
			b.WriteByte(c)
		case quoted == '"' && c == '\\' && i+1 < len(s):
			i++
			if !strings.ContainsRune("$`\"\\\n", rune(s[i])) {
				b.WriteByte('\\')
			}
			b.WriteByte(s[i])
		case quoted != 0:
			quoted = 0
		case c == '\'' || c == '"':
			quoted, inside = c, true
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
			inside = true
		case c == ' ' || c == '\t' || c == '\n':
			if inside {
				words = append(words, b.String())
				b.Reset()
			}
			inside = false
		default:
			b.WriteByte(c)
			inside = true
		}
	}
	if quoted != 0 {
		return nil, errTooBig
	}
	if inside {
		words = append(words, b.String())
	}
	return words, nil
}

// file adds a job for each file, and for each file that matches a pattern.
func (t *telegraf) file(n *node, base job) {
	for _, f := range n.get("files").asList() {
		name := f.str()
		if strings.ContainsAny(name, "*?[") {
			names, err := t.options.Files.Glob(name)
			if err == nil {
				say(&t.out.problems, f.line, "files", "the pattern is replaced by the files that it matches now")
			}
			for _, match := range names {
				t.oneFile(n, base, match)
			}
			if len(names) == 0 {
				t.out.lose(&t.out.problems, f.line, "files", "no file is found for the pattern")
			}
			continue
		}
		t.oneFile(n, base, name)
	}
}

func (t *telegraf) oneFile(n *node, base job, name string) {
	j := base
	j.kind = "file"
	j.settings = object("path", name)
	var tags []tagOut
	if tag := n.str("file_tag"); tag != "" {
		tags = append(tags, tagOut{name: tag, value: filepath.Base(name), constant: true, origin: origin{variable: variableIn(name) != ""}})
	}
	if tag := n.str("file_path_tag"); tag != "" {
		if abs, err := filepath.Abs(name); err == nil {
			tags = append(tags, tagOut{name: tag, value: abs, constant: true, origin: origin{variable: variableIn(name) != ""}})
		}
	}
	t.finish("file", n, j, tags)
}

// readOutputs adds the sinks for the outputs.
func (t *telegraf) readOutputs() {
	t.version, t.strings, t.times = 2, false, false
	var stand *node
	for _, kind := range t.root.pairs("outputs") {
		for _, n := range kind.value.list() {
			switch {
			case kind.key == "prometheus_client":
				t.page(n)
			case kind.key == "http" && n.str("data_format") == "prometheusremotewrite":
				t.remote(n)
			case kind.key == "file" && n.str("data_format") == "prometheus":
				t.out.sinks = append(t.out.sinks, sink{name: t.sinkName("print"), kind: "print"})
			default:
				stand = n
				t.out.lose(&t.out.problems, n.line, "outputs."+kind.key, "there is no counterpart; a page takes its place")
			}
		}
	}
	if len(t.out.sinks) == 0 {
		listen := ":9273"
		t.out.sinks = append(t.out.sinks, sink{name: "page", kind: "expose", settings: object("listen", listen)})
		if stand != nil {
			t.outputs = append(t.outputs, stand)
		}
	}
}

func (t *telegraf) sinkName(name string) string {
	try := name
	for i := 2; slices.ContainsFunc(t.out.sinks, func(s sink) bool { return s.name == try }); i++ {
		try = name + "-" + itoa(i)
	}
	return try
}

// page adds the sink for an output prometheus_client: a page.
func (t *telegraf) page(n *node) {
	s := sink{name: t.sinkName("page"), kind: "expose"}
	path := n.str("path")
	if path == "" || path[0] != '/' || path == "/metrics" {
		path = ""
	}
	s.settings = object("listen", cmp.Or(n.str("listen"), ":9273"), "path", path)
	t.strings, t.version = true, 1
	if n.has("string_as_label") {
		t.strings = n.is("string_as_label")
	}
	if n.str("metric_version") == "2" {
		t.version = 2
	}
	t.times = n.is("export_timestamp")
	t.outputs = append(t.outputs, n)
	for _, m := range n.pairs() {
		switch m.key {
		case "basic_username", "basic_password", "ip_range", "tls_cert", "tls_key", "tls_allowed_cacerts", "http_headers":
			t.out.lose(&s.notes, m.line, m.key, "there is no counterpart in this place: web_config_file has TLS and passwords")
		}
	}
	t.out.sinks = append(t.out.sinks, s)
}

// remote adds the remote_write sink for an output.
func (t *telegraf) remote(n *node) {
	s := sink{name: t.sinkName("remote"), kind: "remote_write"}
	a, ok := split(n.str("url"), s.name, n.get("url").at(n.line))
	if u, err := url.Parse(a.url); !ok || err != nil || u.Host == "" || len(a.query.Content) > 0 {
		t.out.lose(&t.out.problems, n.line, "outputs.http", "the address can hold a secret or is no URL; the sink is left out")
		return
	}
	s.notes = append(s.notes, a.notes...)
	c := client{t.out, &s.notes, s.name}
	headers := &node{kind: mapping}
	for _, m := range n.pairs("headers") {
		if k := strings.ToLower(m.key); !strings.HasPrefix(k, "content-") && !strings.HasPrefix(k, "x-prometheus-remote-write") {
			headers.members = append(headers.members, m)
		}
	}
	s.settings = object("url", a.url, "headers", c.headers(headers))
	t.credentials(s.settings, n, a, c)
	t.times = true
	t.outputs = append(t.outputs, n)
	t.out.sinks = append(t.out.sinks, s)
}
