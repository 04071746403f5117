package http

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// asked is one request in the making: what is asked for, and whether it goes to the settings' own origin.
type asked struct {
	sources.Request
	target url.URL
	method string
	page   step // which page of it
	own    bool // the settings' origin: headers and credentials go with it
	plain  bool // the settings' address: the settings' query and body go with it
}

// one asks once for what the request says. Its errors begin with the method and the place.
func (f *fetcher) one(ctx context.Context, tick sources.Tick, r sources.Request, page step) (*sources.Document, error) {
	for name, values := range f.literals {
		for _, value := range values {
			f.web.RememberNamed(name, value)
		}
	}
	a, err := f.asked(tick, r)
	if err != nil {
		return nil, err
	}
	a.page = page
	from := f.web.Secrets.Scrub(a.method + " " + setting.Place(&a.target))
	req, err := f.request(ctx, tick, a)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	client, err := f.clientFor(a)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return f.send(client, from, req)
}

func (f *fetcher) asked(tick sources.Tick, r sources.Request) (*asked, error) {
	base, err := f.address(tick, nil)
	if err != nil {
		return nil, err
	}
	a := &asked{Request: r, target: *base, plain: r.URL == "", own: true}
	if !a.plain {
		relative, err := url.Parse(r.URL)
		if err != nil {
			return nil, errors.New("url: not an address")
		}
		var target setting.URL
		if err := target.UnmarshalText([]byte(base.ResolveReference(relative).String())); err != nil {
			return nil, fmt.Errorf("url: %w", err)
		}
		a.target, a.own = target.URL, httpclient.SameOrigin(&f.set.URL.URL, &target.URL)
	}
	a.method = r.Method
	switch {
	case a.method == "" && r.Body != nil:
		a.method = http.MethodPost
	case a.method == "" && a.plain:
		a.method = f.set.Method
	}
	a.method = cmp.Or(a.method, http.MethodGet)
	if a.method != http.MethodGet && a.method != http.MethodPost {
		return nil, fmt.Errorf("method: want GET or POST, got %.20q", r.Method)
	}
	if a.method == http.MethodGet && r.Body != nil {
		return nil, errors.New("body: a GET has no body")
	}
	return a, nil
}

// clientFor is the client for the request's origin. That for others has neither credentials nor the settings of TLS, which
// say whom to trust as the settings' own origin.
func (f *fetcher) clientFor(a *asked) (*httpclient.Client, error) {
	if a.own {
		return f.client, nil
	}
	if f.other == nil {
		client, err := f.web.Client(&httpclient.Settings{Proxy: f.set.Proxy})
		if err != nil {
			return nil, err
		}
		f.other = client
	}
	return f.other, nil
}

// request is the tick's request. Secrets are read afresh for it.
func (f *fetcher) request(ctx context.Context, tick sources.Tick, a *asked) (*http.Request, error) {
	query := url.Values{}
	if a.own {
		var err error
		if query, err = f.queryOf(tick, !a.plain || a.Query != nil); err != nil {
			return nil, err
		}
	}
	for name := range a.target.Query() {
		if !a.plain {
			query.Del(name) // a link that the API has given may hold the key already
		}
	}
	for _, p := range a.Query {
		query.Add(p.Name, p.Value)
	}
	if a.page.param != "" {
		query.Set(a.page.param, a.page.value)
	}
	a.target.RawQuery = strings.Trim(a.target.RawQuery+"&"+query.Encode(), "&")
	text, err := f.bodyOf(tick, a)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, a.method, a.target.String(), strings.NewReader(text))
	if err != nil {
		return nil, errors.New("the request cannot be made") // the library's text would hold the query
	}
	req.Header.Set("Accept", f.set.Decoding.Format.Accept())
	if text != "" {
		req.Header.Set("Content-Type", contentType([]byte(text)))
	}
	if a.own {
		if err := f.setHeaders(req, tick); err != nil {
			return nil, err
		}
	}
	return req, addHeaders(req, a.Headers)
}

func (f *fetcher) bodyOf(tick sources.Tick, a *asked) (text string, err error) {
	switch {
	case a.Body != nil:
		text = *a.Body
	case a.plain && a.method == http.MethodPost:
		if text, err = f.bodyFor(tick, nil); err != nil {
			return "", err
		}
	}
	if a.page.body != nil {
		if text, err = a.page.body.put(text, a.page.inBody()); err != nil {
			return "", fmt.Errorf("body: %w", err)
		}
	}
	return text, nil
}

// addHeaders sets the headers of a request's own.
func addHeaders(req *http.Request, headers []sources.Parameter) error {
	for _, h := range headers {
		switch {
		case !httpclient.IsToken(h.Name):
			return fmt.Errorf("headers: %.40q is no header's name", h.Name)
		case isOwn(h.Name):
			return fmt.Errorf("headers: %s is set by the agent", h.Name)
		case !validValue(h.Value):
			return fmt.Errorf("headers: the value of %s holds a line break or control character", h.Name)
		}
		req.Header.Set(h.Name, h.Value)
	}
	return nil
}
