package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/template"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/web"
	"github.com/collectington/collectington/sources"
)

// fetcher asks one address. Its buffer and parser keep their memory from tick to tick.
type fetcher struct {
	set    *Config
	web    *web.Host
	client *http.Client
	query  []parameter
	body   *template.Template

	literals url.Values

	buffer []byte
	parser sources.Parser
}

// parameter is one of the query. Text is nil where the value is a reference.
type parameter struct {
	name  string
	value setting.Text
	text  *template.Template
}

// Fetch asks once. Its errors begin with the method and the place.
func (f *fetcher) Fetch(ctx context.Context, tick sources.Tick) (*sources.Document, error) {
	for name, values := range f.literals {
		for _, value := range values {
			f.web.RememberNamed(name, value)
		}
	}
	from := f.web.Secrets.Scrub(f.set.Method + " " + f.set.URL.Place())
	req, err := f.request(ctx, tick)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, f.web.Explain(err)
	}
	defer resp.Body.Close()
	if err := f.read(resp); err != nil {
		return nil, fmt.Errorf("%s: %w", from, f.web.Explain(err))
	}
	doc, err := f.parser.JSON(from, f.buffer)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, f.notJSON(from, err))
	}
	return doc, nil
}

// request is the tick's request. Secrets are read afresh for it.
func (f *fetcher) request(ctx context.Context, tick sources.Tick) (*http.Request, error) {
	target := f.set.URL.URL
	query, err := f.queryOf(tick)
	if err != nil {
		return nil, err
	}
	target.RawQuery = strings.Trim(target.RawQuery+"&"+query, "&")
	text, err := execute(f.body, tick)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	var body []byte
	if f.set.Method == http.MethodPost {
		body = []byte(text)
	}
	req, err := http.NewRequestWithContext(ctx, f.set.Method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the request cannot be made") // the library's text would hold the query
	}
	req.Header.Set("Accept", "application/json")
	if len(body) > 0 {
		req.Header.Set("Content-Type", contentType(body))
	}
	return req, f.setHeaders(req)
}

func (f *fetcher) queryOf(tick sources.Tick) (string, error) {
	query := url.Values{}
	for _, p := range f.query {
		var value string
		var err error
		if p.text == nil {
			value, err = f.web.Secrets.Text(p.value)
		} else {
			value, err = execute(p.text, tick)
		}
		if err != nil {
			return "", fmt.Errorf("query.%s: %w", p.name, err)
		}
		query.Set(p.name, value)
	}
	return query.Encode(), nil
}

func (f *fetcher) setHeaders(req *http.Request) error {
	for name, text := range f.set.Headers {
		value, err := f.web.Secrets.Text(text)
		if err != nil {
			return fmt.Errorf("headers.%s: %w", name, err)
		}
		if !validValue(value) {
			return fmt.Errorf("headers.%s: the secret holds a line break or control character: %s", name, text)
		}
		req.Header.Set(name, value)
	}
	return nil
}

// read fills the buffer with the body of a success.
func (f *fetcher) read(resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusNoContent:
		return errors.New("204 No Content: the server sent no document")
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return f.web.StatusError(resp)
	}
	var err error
	f.buffer, err = web.ReadBody(resp, int64(f.set.MaxBody), f.buffer[:0])
	if err != nil {
		return err
	}
	return checkCharset(resp.Header.Get("Content-Type"), f.buffer)
}

// notJSON is the parser's error without secrets. The error quotes a piece of the body, where a secret that a server
// echoes could stand cut in two and go unnoticed, so the piece is taken anew from a body without secrets.
func (f *fetcher) notJSON(from string, err error) error {
	body := string(f.buffer)
	if scrubbed := f.web.Secrets.Scrub(body); scrubbed != body {
		var parser sources.Parser
		if _, again := parser.JSON(from, []byte(scrubbed)); again != nil {
			return again
		}
		return errors.New("want JSON, got a text that holds a secret of ours")
	}
	return err
}
