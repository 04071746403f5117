package http

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
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
	other  *http.Client // for other origins, without credentials; nil until the first
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
	return f.Ask(ctx, tick, sources.Request{})
}

// send sends the request and decodes the answer.
func (f *fetcher) send(client *http.Client, from string, req *http.Request) (*sources.Document, error) {
	resp, err := client.Do(req)
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

// queryOf is the settings' query, or of it only what are references to secrets.
func (f *fetcher) queryOf(tick sources.Tick, secretsOnly bool) (url.Values, error) {
	query := url.Values{}
	for _, p := range f.query {
		if secretsOnly && p.text != nil {
			continue
		}
		var value string
		var err error
		if p.text == nil {
			value, err = f.web.Secrets.Text(p.value)
		} else {
			value, err = execute(p.text, tick)
		}
		if err != nil {
			return nil, fmt.Errorf("query.%s: %w", p.name, err)
		}
		query.Set(p.name, value)
	}
	return query, nil
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
