package http

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// texts are what the settings say of a request, with their templates compiled.
type texts struct {
	path    itemText // nil = as it is written
	query   []parameter
	headers []parameter
	body    itemText
	json    bool // the body is JSON
}

// parameter is one of the query, or a header. Text is nil where the value is a reference.
type parameter struct {
	name  string
	value setting.Text
	text  itemText
}

// texts compiles the templates. Problems name their settings.
func (c *Config) texts() (*texts, error) {
	t := &texts{}
	var problems []error
	parse := func(at, text string) itemText {
		parsed, err := parseItemText(text, c.ForEach != nil)
		if err != nil {
			problems = append(problems, setting.Bad(at, "%v", err))
		}
		return parsed
	}
	parameters := func(under string, given map[string]setting.Text) (all []parameter) {
		for _, name := range sorted(given) {
			p := parameter{name: name, value: given[name]}
			if !p.value.IsReference() {
				p.text = parse(under+"."+name, string(p.value))
			}
			all = append(all, p)
		}
		return all
	}
	if path := c.writtenPath(); strings.Contains(path, "{{") {
		t.path = parse("url", path)
	}
	t.query, t.headers = parameters("query", c.Query), parameters("headers", c.Headers)
	t.body = parse("body", c.Body)
	begin := strings.TrimSpace(c.Body)
	t.json = strings.HasPrefix(begin, "{") || strings.HasPrefix(begin, "[")
	return t, errors.Join(problems...)
}

// any tells whether one of the texts is so.
func (t *texts) any(is func(itemText) bool) bool {
	for _, p := range append(append([]parameter{}, t.query...), t.headers...) {
		if is(p.text) {
			return true
		}
	}
	return is(t.path) || is(t.body)
}

// address is the settings' address at a tick, and for an item. Without one its fields stay as they are.
func (f *fetcher) address(tick sources.Tick, i *item) (*url.URL, error) {
	base := f.set.URL.URL
	if f.texts.path == nil || i == nil && f.texts.path.namesItem() {
		return &base, nil
	}
	path, err := f.texts.path.fill(tick, i, inPath)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	filled, err := url.Parse((&url.URL{Scheme: base.Scheme, Host: base.Host}).String() + path)
	if err != nil || filled.Host != base.Host {
		return nil, errors.New("url: its path is none once the templates are filled in")
	}
	filled.RawQuery = base.RawQuery
	return filled, nil
}

// bodyFor is the body of a POST at a tick, and for an item.
func (f *fetcher) bodyFor(tick sources.Tick, i *item) (string, error) {
	escape := asIs
	if f.texts.json {
		escape = inJSON
	}
	text, err := f.texts.body.fill(tick, i, escape)
	if err != nil {
		return "", fmt.Errorf("body: %w", err)
	}
	return text, nil
}

// setHeaders sets the settings' headers, but for those that name an item: they are the item's request's own.
func (f *fetcher) setHeaders(req *http.Request, tick sources.Tick) error {
	for _, h := range f.texts.headers {
		if h.text.namesItem() {
			continue
		}
		value, err := f.valueOf(h, tick)
		if err != nil {
			return fmt.Errorf("headers.%s: %w", h.name, err)
		}
		if !validValue(value) {
			return fmt.Errorf("headers.%s: the secret holds a line break or control character: %s", h.name, h.value)
		}
		req.Header.Set(h.name, value)
	}
	return nil
}

// queryOf is the settings' query, or of it only what are references to secrets.
func (f *fetcher) queryOf(tick sources.Tick, secretsOnly bool) (url.Values, error) {
	query := url.Values{}
	for _, p := range f.texts.query {
		if secretsOnly && p.text != nil {
			continue
		}
		value, err := f.valueOf(p, tick)
		if err != nil {
			return nil, fmt.Errorf("query.%s: %w", p.name, err)
		}
		query.Set(p.name, value)
	}
	return query, nil
}

// valueOf is the value of a parameter that names no item. Secrets are read afresh.
func (f *fetcher) valueOf(p parameter, tick sources.Tick) (string, error) {
	if p.text == nil {
		return f.web.Secrets.Text(p.value)
	}
	return p.text.fill(tick, nil, asIs)
}
