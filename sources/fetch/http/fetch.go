package http

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
)

// fetcher asks one address. Its buffer and decoder keep their memory from tick to tick.
type fetcher struct {
	set    *Config
	web    *httpclient.Host
	client *httpclient.Client
	other  *httpclient.Client // for other origins, without credentials; nil until the first
	texts  *texts

	literals url.Values

	buffer  []byte
	text    []byte // what the buffer holds, in UTF-8
	decoder *format.Decoder

	// Of the last response, and of pages put together.
	header   http.Header
	at       *url.URL
	pageText []byte
	joined   sources.Parser
	workers  []*fetcher // of for_each, as many as were needed so far; each with a memory of its own
}

// Fetch asks for what the settings say.
func (f *fetcher) Fetch(ctx context.Context, tick sources.Tick) (*sources.Document, error) {
	return f.Ask(ctx, tick, sources.Request{})
}

// send sends the request and decodes the answer.
func (f *fetcher) send(client *httpclient.Client, from string, req *http.Request) (*sources.Document, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Close()
	f.header, f.at = resp.Header, resp.Request.URL
	if err := f.read(resp); err != nil {
		return nil, resp.Wrap(err)
	}
	contentType := resp.Header.Get("Content-Type")
	doc, err := f.decoder.Decode(from, contentType, f.text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	if err := f.refusal(req, resp, doc); err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return doc, nil
}

// read fills the buffer with the body of a success.
func (f *fetcher) read(resp *httpclient.Response) error {
	if resp.StatusCode == http.StatusNoContent {
		return errors.New("204 No Content: the server sent no document")
	}
	var err error
	f.buffer, err = resp.ReadBody(f.buffer[:0], httpclient.Limit{Bytes: f.set.MaxBody, Setting: "max_body"})
	if err != nil {
		return err
	}
	f.text, err = format.UTF8(resp.Header.Get("Content-Type"), f.buffer)
	return err
}
