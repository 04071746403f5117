package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
)

// fetcher fetches a document. Its buffers and decoder keep their memory from tick to tick.
type fetcher struct {
	*requestBuilder
	client *httpclient.Client
	other  *httpclient.Client // for other origins, without credentials; nil until the first request

	buffer  []byte
	text    []byte // of the buffer, in UTF-8
	decoder *format.Decoder

	// Of the last response.
	header http.Header
	at     *url.URL
	// Of joined pages and items.
	pageText []byte
	joined   sources.Parser
	workers  []*fetcher // of for_each, each with its own buffers
}

// Fetch fetches what the request describes. If it has the settings' URL, it fetches all items and pages. Errors begin with the
// number of the page after the first, the method and the URL.
func (f *fetcher) Fetch(ctx context.Context, tick sources.Tick, r sources.Request) (*sources.Document, error) {
	for _, given := range [][]sources.Parameter{r.Query, r.Headers} {
		for _, p := range given {
			f.host.RememberNamed(p.Name, p.Value)
		}
	}
	switch {
	case r.URL != "":
		return f.fetchOne(ctx, tick, r, pageStep{})
	case f.set.ForEach != nil:
		return f.fetchEach(ctx, tick, r)
	}
	return f.fetchPaged(ctx, tick, r, f.set.Paginate)
}

// fetchPaged fetches all pages, or one if by is nil.
func (f *fetcher) fetchPaged(ctx context.Context, tick sources.Tick, r sources.Request, by *Paginate) (*sources.Document, error) {
	if by == nil {
		return f.fetchOne(ctx, tick, r, pageStep{})
	}
	return f.fetchPages(ctx, tick, r, by)
}

// fetchOne sends one request. Its errors begin with the method and the URL.
func (f *fetcher) fetchOne(ctx context.Context, tick sources.Tick, r sources.Request, page pageStep) (*sources.Document, error) {
	for name, values := range f.literals {
		for _, value := range values {
			f.host.RememberNamed(name, value)
		}
	}
	plan, err := f.plan(tick, r)
	if err != nil {
		return nil, err
	}
	plan.page = page
	from := f.host.Secrets.Scrub(plan.method + " " + setting.Place(&plan.target))
	req, err := f.build(ctx, tick, plan)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	client, err := f.clientFor(plan)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return f.send(client, from, req)
}

// clientFor returns the client for the request's origin. The client for other origins has no credentials, and no TLS settings,
// which are for the settings' own origin.
func (f *fetcher) clientFor(plan *plannedRequest) (*httpclient.Client, error) {
	if plan.own {
		return f.client, nil
	}
	if f.other == nil {
		client, err := f.host.Client(&httpclient.Settings{Proxy: f.set.Proxy})
		if err != nil {
			return nil, err
		}
		f.other = client
	}
	return f.other, nil
}

// send sends the request and decodes the response.
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
	doc, err := f.decoder.Decode(req.Context(), from, contentType, f.text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	if err := f.checkRefusal(req, resp, doc); err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return doc, nil
}

// read reads the body into the buffer.
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

// checkRefusal returns an error if a response of status 2xx is none of success: GraphQL sends errors with status 200, and
// fail_if detects those of other APIs.
func (f *fetcher) checkRefusal(req *http.Request, resp *httpclient.Response, doc *sources.Document) error {
	if why, failed := graphQLError(req, doc.Root); failed {
		return fmt.Errorf("GraphQL returned no data: %s", f.excerpt(why))
	}
	if f.set.FailIf.IsZero() {
		return nil
	}
	headers := map[string]any{}
	for name, values := range resp.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	answer, err := f.set.FailIf.Run(req.Context(), map[string]any{
		"status": resp.StatusCode, "headers": headers, "body": doc.Root.JQ(),
	})
	if err != nil {
		return fmt.Errorf("fail_if failed: %s", f.excerpt(err.Error()))
	}
	switch a := answer.(type) {
	case nil:
	case bool:
		if a {
			return fmt.Errorf("fail_if is true: %s", f.excerpt(f.set.FailIf.String()))
		}
	case string:
		if a != "" {
			return fmt.Errorf("fail_if: %s", f.excerpt(a))
		}
	default:
		return fmt.Errorf("fail_if: want true, false or a string, got %s", f.excerpt(gojq.Preview(a)))
	}
	return nil
}

// graphQLError returns the first error of a GraphQL response without data (GraphQL, October 2021, section 7.1). A response with
// errors and data is partial, and is used.
func graphQLError(req *http.Request, root document.Value) (string, bool) {
	if req.Method != http.MethodPost || root.Get("data").Kind() != document.Null {
		return "", false
	}
	for first := range root.Get("errors").Items {
		if message := first.Get("message"); message.Kind() == document.String {
			first = message
		}
		return first.Text(), isGraphQL(req)
	}
	return "", false
}

// isGraphQL reports whether a request is one of GraphQL: its body is an object with a query (GraphQL over HTTP, section 5.1).
func isGraphQL(req *http.Request) bool {
	if req.GetBody == nil {
		return false
	}
	body, err := req.GetBody()
	if err != nil {
		return false
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return false
	}
	var parser document.Parser
	root, err := parser.Parse(text)
	return err == nil && root.Get("query").Kind() == document.String
}
