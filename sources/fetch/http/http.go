// Package http fetches a document from an HTTP API.
package http

import (
	_ "embed"
	"fmt"
	"net/http"
	"net/url"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/jq"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
)

//go:embed example.yaml
var example string

// Kind is the http fetcher.
var Kind = sources.Kind[sources.Fetcher]{
	Name: "http",
	Defaults: func() sources.Config[sources.Fetcher] {
		return &Config{Method: http.MethodGet, MaxBody: 64 << 20, Decoding: format.Defaults()}
	},
	Example: example,
}

// Config says what to ask for and how. There is no time-out here: the job's bounds the whole tick.
type Config struct {
	URL    setting.URL `yaml:"url"`
	Method string      `yaml:"method"`

	// Query is added to the address' own query. A value is a template, or a reference to a secret.
	Query   map[string]setting.Text `yaml:"query"`
	Headers map[string]setting.Text `yaml:"headers"` // alike
	Body    string                  `yaml:"body"`    // of a POST; a template

	MaxBody setting.Bytes `yaml:"max_body"` // of the response, decompressed

	Paginate *Paginate `yaml:"paginate"` // nil = one page is all
	ForEach  *ForEach  `yaml:"for_each"` // nil = one request is all

	Decoding format.Settings `yaml:",inline"`
	FailIf   jq.Expression   `yaml:"fail_if"` // of a success: when it is a failure after all

	httpclient.RequestPolicy `yaml:",inline"`
	httpclient.Settings      `yaml:",inline"`
}

// New makes the fetcher.
func (c *Config) New(env sources.Env) (sources.Fetcher, error) {
	host := env.Web.WithPolicy(env.Job, &c.URL.URL, &c.RequestPolicy)
	client, err := host.Client(&c.Settings)
	if err != nil {
		return nil, err
	}
	f := &fetcher{set: c, web: host, client: client, decoder: c.Decoding.Decoder(env.Web.Secrets)}
	if f.texts, err = c.texts(); err != nil {
		return nil, err
	}
	f.literals = c.literals()
	return f, nil
}

// literals are the values that stand in the settings as they are sent, some of which may be keys.
func (c *Config) literals() url.Values {
	all := c.URL.Query()
	for _, given := range []map[string]setting.Text{c.Query, c.Headers} {
		for name, value := range given {
			if !value.IsReference() {
				all.Add(name, string(value))
			}
		}
	}
	return all
}

// Identity implements sources.Identifier: the request without its headers, which say who asks.
func (c *Config) Identity() string {
	request := fmt.Sprint(c.Method, " ", c.URL.String(), " ", c.Query, " ", c.Body)
	if c.ForEach != nil {
		request += fmt.Sprint(" for ", c.ForEach.Items, " of ", c.ForEach.URL)
	}
	return request
}

// Dated tells whether the request names the tick's window; one with a mistake in it may mean to.
func (c *Config) Dated() bool {
	t, err := c.texts()
	return err != nil || t.any(itemText.varies)
}
