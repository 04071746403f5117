// Package http fetches a document from an HTTP API.
package http

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/jq"
	"github.com/collectington/collectington/agent/pattern"
	"github.com/collectington/collectington/agent/relabel"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/discovery"
	"github.com/collectington/collectington/sources/fetch/format"
)

//go:embed example.yaml
var example string

// Kind is the http fetcher.
var Kind = sources.Kind[sources.Fetcher]{
	Name: "http",
	Defaults: func() sources.Config[sources.Fetcher] {
		return &Config{
			HTTPSD:           discovery.HTTPSD{RefreshInterval: setting.Duration(time.Minute)},
			ValidStatusCodes: httpclient.StatusCodes{{First: 200, Last: 299}}, Document: Body, MaxBody: 64 << 20, Decoding: format.Defaults(),
		}
	},
	Example: example,
}

// Config is the settings of the request. The time-out is set in the job.
type Config struct {
	URL    Address `yaml:"url" setting:"template"` // with targets, only the path and query of all targets
	Method string  `yaml:"method"`                 // "" = POST with a body or form, else GET

	// Query is added to the query of the URL. A value is a template or a reference to a secret, also in Headers and Form.
	Query   map[string]setting.Template `yaml:"query"`
	Headers map[string]setting.Template `yaml:"headers"`
	Body    string                      `yaml:"body" setting:"verbatim,text"` // a template
	Form    map[string]setting.Template `yaml:"form"`                         // the body is these fields (application/x-www-form-urlencoded)

	Multipart Multipart `yaml:"multipart"`

	ValidStatusCodes httpclient.StatusCodes `yaml:"valid_status_codes"` // accepted statuses; other statuses make the tick fail
	Document         DocumentKind           `yaml:"document"`

	MaxBody setting.Bytes `yaml:"max_body"` // maximum size of a response's body, decompressed

	Targets []Target         `yaml:"targets"`         // servers; the request is sent to each of them
	FileSD  discovery.FileSD `yaml:"file_sd"`         // files that list further targets
	HTTPSD  discovery.HTTPSD `yaml:"http_sd"`         // a URL that lists further targets
	Relabel relabel.Rules    `yaml:"relabel_configs"` // rules for targets

	Paginate *Paginate `yaml:"paginate"` // nil = one page
	ForEach  *ForEach  `yaml:"for_each"` // nil = one request

	Decoding format.Settings `yaml:",inline"`
	FailIf   jq.Expression   `yaml:"fail_if"` // gives true or a string if a response with a valid status reports a failure

	httpclient.RequestPolicy `yaml:",inline"`
	httpclient.Settings      `yaml:",inline"`

	jobLabels map[string]string // labels of the job, which all targets get
}

// New implements sources.Config.
func (c *Config) New(env sources.Env) (sources.Fetcher, error) {
	host := env.Web.WithPolicy(env.Job, &c.URL.URL.URL, &c.RequestPolicy)
	if c.URL.socket != "" {
		host = host.OverSocket(c.URL.socket)
	}
	client, err := c.client(host)
	if err != nil {
		return nil, err
	}
	templates, err := c.templates()
	if err != nil {
		return nil, err
	}
	return &fetcher{
		requestBuilder: &requestBuilder{set: c, host: host, templates: templates, literals: c.literals(), found: newFoundMembers(&env)},
		client:         client, decoder: c.Decoding.Decoder(env.Web.Secrets), valid: c.ValidStatusCodes, document: c.Document,
	}, nil
}

// client returns the client for the origin of the settings' URL.
func (c *Config) client(host *httpclient.Host) (*httpclient.Client, error) {
	client, err := host.Client(&c.Settings)
	if err != nil {
		return nil, err
	}
	client.RefuseChanges()
	if c.ValidStatusCodes.HasRedirects() {
		client.ReturnRedirects()
	}
	return client, nil
}

// literals returns the values, by name, that the settings contain as plain text. Some of them may be API keys.
func (c *Config) literals() url.Values {
	all := c.URL.Query()
	for _, given := range []map[string]setting.Template{c.Query, c.Headers, c.Form, c.Multipart.Fields} {
		for name, value := range given {
			if !value.HasSecret() {
				all.Add(name, string(value))
			}
		}
	}
	return all
}

// Identity implements sources.Identifier. The identity is the request without its headers, which can contain credentials.
func (c *Config) Identity() string {
	request := fmt.Sprint(c.method(), " ", c.URL.String(), " ", c.Query, " ", c.Body)
	if len(c.Form) > 0 {
		request += fmt.Sprint(" form ", c.Form)
	}
	if !c.Multipart.isZero() {
		request += fmt.Sprint(" multipart ", c.Multipart.Fields, c.Multipart.Files)
	}
	if c.ForEach != nil {
		request += fmt.Sprint(" for ", c.ForEach.Items, " of ", c.ForEach.URL)
	}
	if c.Document != Body { // the default adds nothing, so that states saved by earlier versions stay valid
		request += " as " + string(c.Document)
	}
	return request
}

// Dated reports whether the request contains times of the tick. The result is also true if a template is not valid.
func (c *Config) Dated() bool {
	t, err := c.templates()
	return err != nil || t.any(itemTemplate.varies)
}

// Mixes implements sources.Mixer. Each page and each item is cached by itself.
func (c *Config) Mixes() string {
	if c.CacheFor > 0 && (c.ForEach != nil || c.Paginate != nil) {
		return "cache_for"
	}
	return ""
}

// Validate returns all problems, each naming its setting.
func (c *Config) Validate() error {
	var problems []error
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Errorf(path, format, args...))
	}
	switch {
	case c.URL.IsZero() && !c.HasTargets():
		bad("url", "is required: the URL to fetch, such as https://api.example.com/v1/incidents")
	case strings.Contains(c.URL.RawQuery, "{{"):
		bad("url", "templates are not filled in after the ?: move the parameter to query")
	}
	problems = append(problems, c.validateMethod(), c.validateTargets())
	_, err := c.templates()
	problems = append(problems, err, c.checkBody())
	if c.Paginate != nil {
		problems = append(problems, c.Paginate.validate(c))
	}
	if c.ForEach != nil {
		problems = append(problems, c.ForEach.validate(c))
	}
	if c.Paginate != nil && c.Document == Response {
		bad("document", "response cannot be set with paginate: the pages together have no single status")
	}
	if c.MaxBody <= 0 {
		bad("max_body", "want more than 0, such as 64MiB")
	}
	problems = append(problems, c.validateHeaders(), c.Decoding.Validate(), c.RequestPolicy.Validate(), c.Settings.Validate())
	return errors.Join(problems...)
}

// validateMethod returns what is wrong with the method, and which settings of the request cannot be used together.
func (c *Config) validateMethod() error {
	var problems []error
	if problem := checkMethod(c.method()); problem != "" {
		problems = append(problems, setting.Errorf("method", "%s", problem))
	}
	if c.method() == http.MethodHead && c.Document != Response {
		problems = append(problems, setting.Errorf("method", "a response to HEAD has no body: set document: response"))
	}
	if c.Body != "" && len(c.Form) > 0 {
		problems = append(problems, setting.Errorf("form", "body is set too: set only one of them"))
	}
	if !c.Multipart.isZero() && (c.Body != "" || len(c.Form) > 0) {
		problems = append(problems, setting.Errorf("multipart", "body or form is set too: set only one of them"))
	}
	if c.URL.socket != "" && c.RequestPolicy != (httpclient.RequestPolicy{}) {
		problems = append(problems, setting.Errorf("url", "a unix socket has no rate_limit and no cache_for: leave them out"))
	}
	return errors.Join(problems...)
}

// checkBody returns an error for text in the body that looks like a reference but would be sent literally. It accepts any GraphQL body,
// since variables of GraphQL look like references.
func (c *Config) checkBody() error {
	if graphQL().MatchString(c.Body) {
		return nil
	}
	if err := setting.CheckTemplate(c.Body); err != nil {
		return setting.Errorf("body", "%v", err)
	}
	return nil
}

// graphQL matches the body of a GraphQL request: JSON with a query, or a query that begins with query, mutation or subscription.
var graphQL = pattern.OnUse(`"query"\s*:|^\s*(query|mutation|subscription)\b`)

func (c *Config) validateHeaders() error {
	var problems []error
	seen := map[string]string{}
	for _, name := range sorted(c.Headers) {
		bad := func(format string, args ...any) {
			problems = append(problems, setting.Errorf("headers."+name, format, args...))
		}
		canonical := http.CanonicalHeaderKey(name)
		first, twice := seen[canonical]
		seen[canonical] = name
		problem := ""
		if canonical != "Host" {
			problem = httpclient.CheckHeader(name, setting.Text(c.Headers[name]))
		}
		switch {
		case problem != "":
			bad("%s", problem)
		case canonical == "Host" && !c.Headers[name].IsReference() && (c.Headers[name] == "" || !httpclient.IsHeaderValue(string(c.Headers[name]))):
			bad("want the name of a host, such as app.example.com")
		case canonical == "Content-Type" && len(c.Form) > 0:
			bad("is set by form: leave it out")
		case canonical == "Content-Type" && !c.Multipart.isZero():
			bad("is set by multipart: leave it out")
		case canonical == "Authorization" && c.Authenticates():
			bad("is set by auth, basic_auth, digest_auth, authorization, oauth2 or sigv4: set only one way to authenticate")
		case twice:
			bad("is the same header as %s", first)
		}
	}
	return errors.Join(problems...)
}

func sorted(m map[string]setting.Template) []string { return slices.Sorted(maps.Keys(m)) }
