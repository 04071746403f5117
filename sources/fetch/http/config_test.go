package http

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/setting"
)

// config returns the defaults overridden by settings as a user writes them.
func config(t *testing.T, text string) *Config {
	t.Helper()
	c := Kind.Defaults().(*Config)
	if err := yaml.Load([]byte(text), c, yaml.WithKnownFields()); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

func TestExample(t *testing.T) {
	want := Kind.Defaults().(*Config)
	got := config(t, Kind.Example)
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	want.URL = got.URL // required
	if len(got.Query) == 0 && len(got.Headers) == 0 {
		want.Query, want.Headers = got.Query, got.Headers // empty or absent is the same
	}
	if len(got.Form) == 0 {
		want.Form = got.Form
	}
	if len(got.FileSD.Files) == 0 {
		want.FileSD = got.FileSD
	}
	if len(got.Relabel) == 0 {
		want.Relabel = got.Relabel
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the example is not the defaults:\n%+v\n%+v", got, want)
	}
	for _, tag := range tags(reflect.TypeOf(*want)) {
		if !regexp.MustCompile(`(?m)(^|[\s{#])` + tag + `:`).MatchString(Kind.Example) {
			t.Errorf("the example does not name %s", tag)
		}
	}
}

func tags(t reflect.Type) (all []string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[setting.URL]() {
		return nil
	}
	for field := range t.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); name != "" {
			all = append(all, name)
		}
		all = append(all, tags(field.Type)...)
	}
	return all
}

func TestDefaultsAreFresh(t *testing.T) {
	Kind.Defaults().(*Config).MaxBody = 1
	if got := Kind.Defaults().(*Config).MaxBody; got == 1 {
		t.Errorf("got %s", got)
	}
}

func TestValidate(t *testing.T) {
	const url = "url: https://a.example/v1\n"
	for text, want := range map[string]string{
		url: "",
		url + "query: {since: '{{ rfc3339 .Window.Start }}', key: 'env:KEY'}": "",
		"method: POST\nbody: '{}'\n" + url:                                    "",
		url + "headers: {Authorization: 'Token abc', X-A: ''}":                "",

		"method: GET":                             "url: is required: the URL to fetch, such as https://api.example.com/v1/incidents",
		"url: 'https://a.example/{{ .Now }}'":     "",
		"url: 'https://a.example/?t={{ .Now }}'":  "url: templates are not filled in after the ?: move the parameter to query",
		"url: 'https://a.example/{{ .Item.id }}'": "url: no value .Item.id: there are .Window.Start, .Window.End and .Now",
		url + "headers: {X-At: '{{ .Soon }}'}":    "headers.X-At: no value .Soon: there are .Window.Start, .Window.End and .Now",
		url + "method: get":                       "method: want a method in upper case, such as GET, POST, PUT or PROPFIND",
		url + "method: 'GET /'":                   "method: want a method in upper case, such as GET, POST, PUT or PROPFIND",
		url + "method: TRACE":                     "method: TRACE is about the connection and gives no document",
		url + "method: DELETE":                    "",
		url + "body: x":                           "",
		url + "form: {a: '{{ .X }}'}":             "form.a: no value .X: there are .Window.Start, .Window.End and .Now",
		url + "max_body: 0":                       "max_body: want more than 0, such as 64MiB",
		url + "query: {b: '{{', a: '{{ x }}'}":    "query.a: function \"x\" not defined: there are base64, base64url, before, date, hex, hmac, md5, now, pbkdf2, random, rfc3339, secret, sha1, sha256, sha512, truncate, unbase64, unhex, unix, unixms, upper, urlquery, utf16le\nquery.b: unclosed action",
		url + "method: POST\nbody: '{{ .X }}'":    "body: no value .X: there are .Window.Start, .Window.End and .Now",
		url + "headers: {'a b': x, '': y}":        "headers.: not a valid header name: use letters, digits and hyphens\nheaders.a b: not a valid header name: use letters, digits and hyphens",
		url + "headers: {host: x, Content-Length: '1', transfer-encoding: x}": "headers.Content-Length: is set by the agent and cannot be set here\n" +
			"headers.transfer-encoding: is set by the agent and cannot be set here",
		url + "headers: {X-A: '1', x-a: '2'}":                          "headers.x-a: is the same header as X-A",
		url + "headers: {X-A: \"a\\r\\nB: c\"}":                        "headers.X-A: the value must be one line without control characters",
		url + "headers: {authorization: x}\nbasic_auth: {username: a}": "headers.authorization: is set by auth, basic_auth, digest_auth, authorization, oauth2 or sigv4: set only one way to authenticate",
		"method: put\nmax_body: 0\nauthorization: {}":                  "url: is required: the URL to fetch, such as https://api.example.com/v1/incidents\nmethod: want a method in upper case, such as GET, POST, PUT or PROPFIND\nmax_body: want more than 0, such as 64MiB\nauthorization.credentials: is required",
	} {
		var lines []string
		for _, p := range setting.Problems(config(t, text).Validate()) {
			lines = append(lines, p.Error())
		}
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}
