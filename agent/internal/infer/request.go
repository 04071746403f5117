package infer

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/pattern"
	"github.com/collectington/collectington/agent/setting"
)

// Asking is a request as the user has given it. Secrets in it are replaced by references to environment variables. Secrets
// has the values of these variables.
type Asking struct {
	Request
	Secrets map[string]string // values of the variables, by name
	Order   []string          // names of the variables
	Ignored []string          // parts of a curl line that cannot be used here
}

// secret returns a reference to use instead of a secret value. If the value already is a reference, it is returned
// unchanged.
func (a *Asking) secret(name, value string) string {
	if setting.Text(value).IsReference() {
		return value
	}
	name = strings.ToUpper(join(name))
	base := name
	for n := 2; a.Secrets[name] != "" && a.Secrets[name] != value; n++ {
		name = fmt.Sprintf("%s_%d", base, n)
	}
	if a.Secrets == nil {
		a.Secrets = map[string]string{}
	}
	if a.Secrets[name] == "" {
		a.Order = append(a.Order, name)
	}
	a.Secrets[name] = value
	return "env:" + name
}

// SetURL sets the address of the request. A user name, a password and parameters that are secrets are replaced by
// references.
func (a *Asking) SetURL(text string) error {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("want a URL that begins with http:// or https://")
	}
	if u.User != nil {
		password, _ := u.User.Password()
		a.basic(u.User.Username(), password)
		u.User = nil
	}
	u.Fragment = ""
	var kept []string
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(rawName)
		value, err2 := url.QueryUnescape(rawValue)
		if err1 == nil && err2 == nil && value != "" && isSecretParameter(name, value) {
			a.Query = append(a.Query, Pair{name, a.secret(secretName(name), value)})
		} else if pair != "" {
			kept = append(kept, pair)
		}
	}
	u.RawQuery = strings.Join(kept, "&")
	a.URL = u
	return nil
}

// isSecretParameter reports whether a parameter of a URL is a secret. Parameters for pages and short numbers that identify
// something are not secrets, although their names can contain "token".
func isSecretParameter(name, value string) bool {
	w := words(name)
	if has(w, "id", "appid") && !has(w, "key") && isNumber(value) && len(value) < 8 {
		return false // appid=730
	}
	if has(w, "page", "next", "sort", "keyword", "keywords", "cursor", "continuation", "order") {
		return false
	}
	return httpclient.NamesSecret(name) || has([]string{strings.ToLower(name)}, "appid", "app_id", "sig", "pass", "pin", "apikey", "k", "jwt", "code")
}

// secretName returns the name of the variable for a secret, such as api_key for X-Api-Key.
func secretName(name string) string {
	w := words(name)
	if len(w) > 1 && w[0] == "x" {
		w = w[1:]
	}
	if len(w) == 1 && !strings.HasPrefix(w[0], "api") {
		return "api_" + w[0]
	}
	return strings.Join(w, "_")
}

// AddHeader adds a header. A value that can be a secret is replaced by a reference.
func (a *Asking) AddHeader(text string) error {
	name, value, ok := strings.Cut(text, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || !httpclient.IsToken(name) {
		return errors.New(`want a header such as "X-Api-Key: env:API_KEY"`)
	}
	if isOfBrowser(name) {
		return nil
	}
	if strings.EqualFold(name, "Authorization") && !setting.Text(value).IsReference() {
		return a.authorization(value)
	}
	if httpclient.NamesSecret(name) {
		value = a.secret(secretName(name), value)
	}
	a.Headers = slices.DeleteFunc(a.Headers, func(p Pair) bool { return strings.EqualFold(p.Name, name) })
	a.Headers = append(a.Headers, Pair{http.CanonicalHeaderKey(name), value})
	return nil
}

// isOfBrowser reports whether a header concerns a browser or the connection, and not the API.
func isOfBrowser(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "sec-") || has([]string{name}, "accept", "accept-encoding", "accept-language", "user-agent", "referer", "origin", "dnt", "cache-control", "pragma", "priority", "connection", "host", "content-length", "te", "upgrade-insecure-requests",
		"if-none-match", "if-modified-since", "transfer-encoding", "keep-alive", "upgrade", "trailer", "proxy-connection")
}

func (a *Asking) authorization(value string) error {
	scheme, credentials, ok := strings.Cut(value, " ")
	switch {
	case ok && strings.EqualFold(scheme, "Basic"):
		plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(credentials))
		user, password, found := strings.Cut(string(plain), ":")
		if err != nil || !found {
			return errors.New("the header Authorization has no valid user and password")
		}
		a.basic(user, password)
	case ok && httpclient.IsToken(scheme) && !strings.Contains(credentials, " "):
		reference := a.secret("api_token", strings.TrimSpace(credentials))
		a.Settings += "authorization: {type: " + yamlText(scheme) + ", credentials: " + yamlText(reference) + "}\n"
	default:
		a.Headers = append(a.Headers, Pair{"Authorization", a.secret("api_authorization", value)})
	}
	return nil
}

func (a *Asking) basic(user, password string) {
	if password == "" { // the user name is the key, as in Stripe's API
		key := base64.StdEncoding.EncodeToString([]byte(user + ":"))
		a.Headers = append(a.Headers, Pair{"Authorization", a.secret("api_authorization", "Basic "+key)})
		return
	}
	a.Settings += "basic_auth: {username: " + yamlText(user) + ", password: " + yamlText(a.secret("api_password", password)) + "}\n"
}

var secretMember = pattern.OnUse(`"([A-Za-z_-]*(?i:password|passwd|secret|token|api_?key)[A-Za-z_-]*)"\s*:\s*"[^"$]`)

// SetBody sets the body and makes the request a POST. A body cannot contain references, so SetBody returns an error if it
// contains a secret.
func (a *Asking) SetBody(body string) error {
	if m := secretMember().FindStringSubmatch(body); m != nil {
		return fmt.Errorf("the body has a secret at %s, which must not be written into a configuration: describe the login under auth (cton explain auth), and name it with --auth", m[1])
	}
	a.Method, a.Body = http.MethodPost, body
	return nil
}

// FromCurl reads a command line of curl, such as browsers copy.
func (a *Asking) FromCurl(line string) error {
	args, err := ShellWords(line)
	if err != nil {
		return err
	}
	if len(args) > 0 && (args[0] == "curl" || strings.HasSuffix(args[0], "/curl") || args[0] == "curl.exe") {
		args = args[1:]
	}
	c := &curl{Asking: a}
	for len(args) > 0 {
		if args, err = c.take(args); err != nil {
			return err
		}
	}
	return c.finish()
}

// curl is a command line of curl while it is being read.
type curl struct {
	*Asking
	address string
	data    []string
	get     bool
	method  string
}

// take reads one option or the URL from args, and returns the remaining arguments.
func (c *curl) take(args []string) ([]string, error) {
	arg, rest := args[0], args[1:]
	if !strings.HasPrefix(arg, "-") || arg == "-" {
		c.address = arg
		return rest, nil
	}
	if len(arg) > 2 && arg[1] != '-' { // such as -XPOST or -sS
		if strings.ContainsRune("HdXubAeoFTmrx", rune(arg[1])) {
			rest, arg = append([]string{arg[2:]}, rest...), arg[:2]
		} else {
			rest, arg = append([]string{"-" + arg[2:]}, rest...), arg[:2]
		}
	}
	if name, value, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(arg, "--") {
		arg, rest = name, append([]string{value}, rest...)
	}
	if isPlainFlag(arg) {
		return rest, c.flag(arg)
	}
	if len(rest) == 0 {
		return nil, fmt.Errorf("curl's %s needs a value", arg)
	}
	return rest[1:], c.option(arg, rest[0])
}

func isPlainFlag(arg string) bool {
	return has([]string{arg}, "-s", "-S", "-L", "-k", "-i", "-v", "-f", "-g", "-G", "-I", "-N", "-O", "-J", "-#", "--silent", "--show-error", "--location", "--insecure", "--include", "--verbose", "--fail", "--globoff", "--get", "--compressed", "--http1.1", "--http2", "--no-buffer", "--fail-with-body", "--progress-bar", "-4", "-6", "-0", "-n", "--netrc", "--location-trusted", "--tlsv1.2", "--digest", "--basic", "--ntlm", "--negotiate", "--anyauth")
}

func (c *curl) flag(arg string) error {
	switch arg {
	case "-k", "--insecure":
		c.Settings += "tls_config: {insecure_skip_verify: true}\n"
	case "-G", "--get":
		c.get = true
	case "--digest", "--ntlm", "--negotiate", "--anyauth":
		return fmt.Errorf("curl's %s is a way to log in that cton does not have", arg)
	}
	return nil
}

func (c *curl) option(arg, value string) error {
	switch arg {
	case "-H", "--header":
		return c.AddHeader(value)
	case "-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--json", "--data-urlencode":
		if strings.HasPrefix(value, "@") && arg != "--data-raw" {
			return fmt.Errorf("curl's %s reads a file: write its text instead", arg)
		}
		c.data = append(c.data, value)
	case "-X", "--request":
		c.method = strings.ToUpper(value)
	case "-u", "--user":
		user, password, _ := strings.Cut(value, ":")
		c.basic(user, password)
	case "-b", "--cookie":
		c.Headers = append(c.Headers, Pair{"Cookie", c.secret("api_cookie", value)})
	case "--oauth2-bearer":
		return c.authorization("Bearer " + value)
	case "--url":
		c.address = value
	default:
		c.Ignored = append(c.Ignored, arg)
	}
	return nil
}

func (c *curl) finish() error {
	if c.address == "" {
		return errors.New("the curl line has no URL")
	}
	data := strings.Join(c.data, "&")
	if c.get && data != "" {
		separator := "?"
		if strings.Contains(c.address, "?") {
			separator = "&"
		}
		c.address, data = c.address+separator+data, ""
	}
	if err := c.SetURL(c.address); err != nil {
		return err
	}
	if data != "" {
		if err := c.SetBody(data); err != nil {
			return err
		}
	}
	switch c.method {
	case "", "GET", "POST":
		if c.method == "POST" {
			c.Method = http.MethodPost
		}
		return nil
	}
	return fmt.Errorf("curl's -X %.10s is not supported: want GET or POST", c.method)
}

// maxLine is the maximum size of a curl line in bytes.
const maxLine = 256 << 10

// ShellWords splits a line into words as a shell does. It supports quotes, $'…', backslashes and continued lines.
func ShellWords(line string) ([]string, error) {
	if len(line) > maxLine {
		return nil, fmt.Errorf("the curl line exceeds %d bytes", maxLine)
	}
	line = strings.NewReplacer("\\\r\n", " ", "\\\n", " ", "^\n", " ", "^\r\n", " ").Replace(line)
	var out []string
	var word strings.Builder
	quote, in, ansi := rune(0), false, false
	runes := []rune(line)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case quote == 0 && (r == ' ' || r == '\t' || r == '\n' || r == '\r'):
			if in {
				out = append(out, word.String())
				word.Reset()
				in = false
			}
		case quote == 0 && r == '$' && i+1 < len(runes) && runes[i+1] == '\'':
			quote, in, ansi = '\'', true, true
			i++
		case quote == 0 && (r == '\'' || r == '"'):
			quote, in, ansi = r, true, false
		case quote != 0 && r == quote:
			quote = 0
		case r == '\\' && (quote != '\'' || ansi) && i+1 < len(runes):
			i++
			in = true
			word.WriteString(unescaped(runes[i], quote, ansi))
		default:
			in = true
			word.WriteRune(r)
		}
	}
	if quote != 0 {
		return nil, errors.New("the curl line ends within quotes")
	}
	if in {
		out = append(out, word.String())
	}
	return out, nil
}

// unescaped returns the text that a backslash followed by r means.
func unescaped(r, quote rune, ansi bool) string {
	switch {
	case ansi && r == 'n':
		return "\n"
	case ansi && r == 't':
		return "\t"
	case ansi && r == 'r':
		return "\r"
	case quote == '"' && !strings.ContainsRune(`"\$`+"`", r), ansi && !strings.ContainsRune(`'"\`, r):
		return `\` + string(r)
	}
	return string(r)
}
