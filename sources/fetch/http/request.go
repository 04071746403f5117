package http

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// requestBuilder makes requests from the settings. Several goroutines may use it at once.
type requestBuilder struct {
	set       *Config
	host      *httpclient.Host
	templates *templates
	literals  url.Values // see Config.literals
	found     *foundMembers
	now       time.Time // time of the request that is being made; zero = none is being made. See the methods "at" and "timed"
}

// plannedRequest is a request whose templates and secrets are not yet filled in.
type plannedRequest struct {
	sources.Request
	target url.URL
	method string
	page   pageStep
	own    bool // the target has the origin of the settings' URL, so the settings' headers and credentials are sent
	plain  bool // the target is the settings' URL, so the settings' query and body are sent
}

// plan returns the request that r describes. Errors name the field of r.
func (b *requestBuilder) plan(tick sources.Tick, r sources.Request) (*plannedRequest, error) {
	base, err := b.timed().url(tick, nil)
	if err != nil {
		return nil, err
	}
	plan := &plannedRequest{Request: r, target: *base, plain: r.URL == "", own: true}
	if !plan.plain {
		relative, err := url.Parse(r.URL)
		if err != nil {
			return nil, errors.New("url: not a valid URL")
		}
		var target setting.URL
		if err := target.UnmarshalText([]byte(base.ResolveReference(relative).String())); err != nil {
			return nil, fmt.Errorf("url: %w", err)
		}
		plan.target, plan.own = target.URL, httpclient.SameOrigin(&b.set.URL.URL.URL, &target.URL)
	}
	plan.method = r.Method
	switch {
	case plan.method == "" && r.Body != nil:
		plan.method = http.MethodPost
	case plan.method == "" && plan.plain:
		plan.method = b.set.method()
	}
	plan.method = cmp.Or(plan.method, http.MethodGet)
	if problem := checkMethod(plan.method); problem != "" {
		return nil, fmt.Errorf("method: %s, got %.20q", problem, r.Method)
	}
	return plan, nil
}

// build returns the request of a tick, with the current secrets.
func (b *requestBuilder) build(ctx context.Context, tick sources.Tick, plan *plannedRequest) (*http.Request, error) {
	b = b.timed()
	query := url.Values{}
	if plan.own {
		var err error
		if query, err = b.queryOf(tick, !plan.plain || plan.Query != nil); err != nil {
			return nil, err
		}
	}
	for name := range plan.target.Query() {
		if !plan.plain {
			query.Del(name) // a link that the API has sent may already contain the API key
		}
	}
	for _, p := range plan.Query {
		query.Add(p.Name, p.Value)
	}
	if plan.page.param != "" {
		query.Set(plan.page.param, plan.page.value)
	}
	body, err := b.bodyOf(tick, plan)
	if err != nil {
		return nil, err
	}
	req, err := httpclient.NewRequest(ctx, plan.method, plan.target, query, body.text)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", b.set.Decoding.Format.Accept())
	if body.text != "" {
		req.Header.Set("Content-Type", cmp.Or(body.mediaType, contentType([]byte(body.text))))
	}
	if plan.own {
		if err := b.setHeaders(req, tick); err != nil {
			return nil, err
		}
	}
	return req, addHeaders(req, plan.Headers)
}

// at returns a builder of requests with this time, so that {{ now }} is the same in all parts of a request.
func (b *requestBuilder) at(now time.Time) *requestBuilder {
	same := *b
	same.now = now
	return &same
}

// timed returns a builder of requests with the time of b, or with the current time if b has no time.
func (b *requestBuilder) timed() *requestBuilder {
	if b.now.IsZero() {
		return b.at(time.Now())
	}
	return b
}

// content is the body of a request. If mediaType is empty, contentType determines the media type.
type content struct{ text, mediaType string }

// bodyOf returns the body of a request, including the part that selects the page.
func (b *requestBuilder) bodyOf(tick sources.Tick, plan *plannedRequest) (body content, err error) {
	switch {
	case plan.Body != nil:
		body.text = *plan.Body
	case plan.plain && b.set.sendsBody(plan.method):
		if body, err = b.bodyFor(tick, nil); err != nil {
			return content{}, err
		}
	}
	if plan.page.body != nil {
		if body.text, err = plan.page.body.set(body.text, plan.page.json()); err != nil {
			return content{}, fmt.Errorf("body: %w", err)
		}
	}
	return body, nil
}

// addHeaders checks and sets headers that do not come from the settings, for instance from a script.
func addHeaders(req *http.Request, headers []sources.Parameter) error {
	for _, h := range headers {
		switch {
		case !httpclient.IsToken(h.Name):
			return fmt.Errorf("headers: %.40q is not a valid header name", h.Name)
		case httpclient.IsConnectionHeader(h.Name) && http.CanonicalHeaderKey(h.Name) != "Host":
			return fmt.Errorf("headers: %s is set by the agent", h.Name)
		case !httpclient.IsHeaderValue(h.Value):
			return fmt.Errorf("headers: the value of %s has a line break or control character, which a header cannot have: remove it", h.Name)
		}
		setHeader(req, h.Name, h.Value)
	}
	return nil
}

// setHeader sets a header of a request. The header Host is a separate field in net/http.
func setHeader(req *http.Request, name, value string) {
	if http.CanonicalHeaderKey(name) == "Host" {
		req.Host = value
		return
	}
	req.Header.Set(name, value)
}

// formType is the media type of a body that is made from the setting "form".
const formType = "application/x-www-form-urlencoded"

// contentType returns the media type of a body if no header sets it.
func contentType(body []byte) string {
	if json.Valid(body) {
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

// forItem returns the settings' request for an item of for_each. The query, headers and body of r replace those of the settings.
func (b *requestBuilder) forItem(tick sources.Tick, i *item, r sources.Request) (sources.Request, error) {
	b = b.timed()
	address, err := b.url(tick, i)
	if err != nil {
		return r, err
	}
	r.URL = address.String()
	r.Method = cmp.Or(r.Method, b.set.method())
	if r.Query == nil {
		for _, p := range b.templates.query {
			if p.text == nil || p.text.hasSecret() && !p.text.namesItem() {
				continue // queryOf adds it
			}
			value, err := p.text.execute(tick, i, b.host.Secrets, b.now, noEscape)
			if err != nil {
				return r, fmt.Errorf("query.%s: %w", p.name, err)
			}
			r.Query = append(r.Query, sources.Parameter{Name: p.name, Value: value})
		}
	}
	var headers []sources.Parameter
	for _, h := range b.templates.headers {
		if !h.text.namesItem() {
			continue
		}
		value, err := h.text.execute(tick, i, b.host.Secrets, b.now, noEscape)
		if err != nil {
			return r, fmt.Errorf("headers.%s: %w", h.name, err)
		}
		b.host.RememberNamed(h.name, value)
		headers = append(headers, sources.Parameter{Name: h.name, Value: value})
	}
	if r.Body == nil && b.set.hasBody() && b.set.sendsBody(r.Method) {
		body, err := b.bodyFor(tick, i)
		if err != nil {
			return r, err
		}
		r.Body = &body.text
		if body.mediaType != "" {
			headers = append(headers, sources.Parameter{Name: "Content-Type", Value: body.mediaType})
		}
	}
	r.Headers = append(headers, r.Headers...)
	return r, nil
}

// url returns the settings' URL for a tick and an item. If i is nil and the path names an item, the path is not filled in.
func (b *requestBuilder) url(tick sources.Tick, i *item) (*url.URL, error) {
	base := b.set.URL.URL.URL
	if b.templates.path == nil || i == nil && b.templates.path.namesItem() {
		return &base, nil
	}
	path, err := b.templates.path.execute(tick, i, b.host.Secrets, b.now, escapePath)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	filled, err := url.Parse((&url.URL{Scheme: base.Scheme, Host: base.Host}).String() + httpclient.EscapePath(path))
	if err != nil || filled.Host != base.Host {
		return nil, errors.New("url: the path is not valid after its templates are filled in")
	}
	filled.RawQuery = base.RawQuery
	return filled, nil
}

// bodyFor returns the settings' body for a tick and an item.
func (b *requestBuilder) bodyFor(tick sources.Tick, i *item) (content, error) {
	switch whole := setting.Text(b.set.Body); {
	case len(b.set.Form) > 0:
		return b.formFor(tick, i)
	case !b.set.Multipart.isZero():
		return b.multipartFor(tick, i)
	case whole.IsReference():
		text, err := b.host.Secrets.Text(whole)
		return content{text: text}, err
	}
	text, err := b.templates.body.execute(tick, i, b.host.Secrets, b.now, b.templates.escape)
	if err != nil {
		return content{}, fmt.Errorf("body: %w", err)
	}
	return content{text: text}, nil
}

// formFor returns the body that the setting "form" describes.
func (b *requestBuilder) formFor(tick sources.Tick, i *item) (content, error) {
	form := url.Values{}
	for _, p := range b.templates.form {
		value, err := b.valueOf(p, tick, i)
		if err != nil {
			return content{}, fmt.Errorf("form.%s: %w", p.name, err)
		}
		b.host.RememberNamed(p.name, value)
		form.Set(p.name, value)
	}
	return content{form.Encode(), formType}, nil
}

// setHeaders sets the settings' headers, except the headers with an item field, which forItem adds.
func (b *requestBuilder) setHeaders(req *http.Request, tick sources.Tick) error {
	for _, h := range b.templates.headers {
		if h.text.namesItem() {
			continue
		}
		value, err := b.valueOf(h, tick, nil)
		if err != nil {
			return fmt.Errorf("headers.%s: %w", h.name, err)
		}
		if !httpclient.IsHeaderValue(value) {
			return fmt.Errorf("headers.%s: the value of %s has a line break or control character, which a header cannot have: remove it there", h.name, h.value)
		}
		setHeader(req, h.name, value)
	}
	return nil
}

// queryOf returns the settings' query. If secretsOnly is true, it leaves out the templates without a secret, and the templates with an item
// field.
func (b *requestBuilder) queryOf(tick sources.Tick, secretsOnly bool) (url.Values, error) {
	query := url.Values{}
	for _, p := range b.templates.query {
		if secretsOnly && p.text != nil && (!p.text.hasSecret() || p.text.namesItem()) {
			continue
		}
		value, err := b.valueOf(p, tick, nil)
		if err != nil {
			return nil, fmt.Errorf("query.%s: %w", p.name, err)
		}
		query.Set(p.name, value)
	}
	return query, nil
}

// valueOf returns the value of a parameter, with the current secrets. The item may be nil if the parameter has no item field.
func (b *requestBuilder) valueOf(p parameter, tick sources.Tick, i *item) (string, error) {
	if p.text == nil {
		return b.host.Secrets.Text(setting.Text(p.value))
	}
	return p.text.execute(tick, i, b.host.Secrets, b.now, noEscape)
}

// maxShown is how much of a response an error shows, in bytes.
const maxShown = 200

// excerpt returns a text from a response as an error shows it: short, quoted, and without secrets.
func (b *requestBuilder) excerpt(text string) string {
	return sources.Excerpt([]byte(b.host.Secrets.Scrub(text)), maxShown)
}
