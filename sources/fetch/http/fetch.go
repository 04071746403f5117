package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
)

// fetcher fetches a document. It reuses its buffers and its decoder at every tick.
type fetcher struct {
	*requestBuilder
	client   *httpclient.Client
	valid    httpclient.StatusCodes
	document DocumentKind
	other    *httpclient.Client // client for other origins, without credentials; nil until the first request to one

	buffer  []byte
	text    []byte // content of buffer in UTF-8
	decoder *format.Decoder

	// The following fields describe the newest response.
	status int
	header http.Header
	whole  []byte   // the response as JSON, for document: response
	at     *url.URL // URL of the request that was answered
	// remake makes the item's request once more, with the current time, for the next page; nil = there is no item
	remake func() (sources.Request, error)

	// For joined pages, joined items and whole responses.
	pageText []byte
	joined   sources.Parser
	lister   *fetcher   // fetches the list of for_each; nil until the first tick
	workers  []*fetcher // fetch the items of for_each; each has its own buffers
}

// Fetch fetches the document that the request describes. If the request has no URL, Fetch uses the URL of the settings and fetches
// all items and pages. Errors begin with the method and the URL; from the second page on, the number of the page is before them.
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

// fetchPaged fetches all pages. If the argument "by" is nil, it fetches a single page.
func (f *fetcher) fetchPaged(ctx context.Context, tick sources.Tick, r sources.Request, by *Paginate) (*sources.Document, error) {
	if by == nil {
		return f.fetchOne(ctx, tick, r, pageStep{})
	}
	return f.fetchPages(ctx, tick, r, by)
}

// fetchOne sends one request. Errors begin with the method and the URL.
func (f *fetcher) fetchOne(ctx context.Context, tick sources.Tick, r sources.Request, page pageStep) (*sources.Document, error) {
	for name, values := range f.literals {
		for _, value := range values {
			f.host.RememberNamed(name, value)
		}
	}
	if f.now.IsZero() {
		defer f.begin()()
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

// begin sets the time of the next request, so that all parts of the request have the same time. The result is a function that removes the
// time again.
func (f *fetcher) begin() (end func()) {
	builder := f.requestBuilder
	f.requestBuilder = builder.at(time.Now())
	return func() { f.requestBuilder = builder }
}

// clientFor returns the client for the request's origin. The credentials and the TLS settings are only for the origin of the
// settings' URL, so the client for other origins has neither.
func (f *fetcher) clientFor(plan *plannedRequest) (*httpclient.Client, error) {
	if plan.own {
		return f.client, nil
	}
	if f.other == nil {
		client, err := f.host.Client(&httpclient.Settings{Proxy: f.set.Proxy})
		if err != nil {
			return nil, err
		}
		client.RefuseChanges()
		f.other = client
	}
	return f.other, nil
}

// send sends the request and decodes the response.
func (f *fetcher) send(client *httpclient.Client, from string, req *http.Request) (*sources.Document, error) {
	f.status = 0
	begin := time.Now()
	resp, err := client.DoAnyStatus(req)
	if err != nil {
		return nil, err
	}
	defer resp.Close()
	f.status, f.header, f.at = resp.StatusCode, resp.Header, resp.Request.URL
	if !f.valid.Has(resp.StatusCode) {
		return nil, resp.StatusError()
	}
	if f.buffer, err = resp.ReadBody(f.buffer[:0], httpclient.Limit{Bytes: f.set.MaxBody, Setting: "max_body"}); err != nil {
		return nil, err
	}
	took := time.Since(begin)
	doc, err := f.decode(req.Context(), from, resp)
	if err != nil && f.document != Response {
		return nil, err
	}
	if refused := f.checkRefusal(req, resp, doc); refused != nil {
		return nil, fmt.Errorf("%s: %w", from, refused)
	}
	if f.document == Response {
		if doc, err = f.response(from, took, doc, err); err != nil {
			return nil, err
		}
	}
	doc.Answer = resp.Identity()
	return doc, nil
}

// decode decodes the body in the buffer. If the setting "document" is "response", it returns nil for an empty body.
func (f *fetcher) decode(ctx context.Context, from string, resp *httpclient.Response) (*sources.Document, error) {
	if len(f.buffer) == 0 && f.document == Response {
		return nil, nil
	}
	if resp.StatusCode == http.StatusNoContent {
		return nil, resp.Wrap(errors.New("204 No Content: the server sent no document; to measure the status set document: response"))
	}
	contentType := resp.Header.Get("Content-Type")
	var err error
	if f.text, err = f.decoder.UTF8(contentType, f.buffer); err != nil {
		return nil, resp.Wrap(err)
	}
	doc, err := f.decoder.Decode(ctx, from, contentType, f.text)
	if err != nil && resp.StatusCode > 299 {
		err = fmt.Errorf("%d %s: %w", resp.StatusCode, http.StatusText(resp.StatusCode), err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return doc, nil
}

// checkRefusal returns an error if a response with a valid status reports a failure: GraphQL sends errors with status 200, and
// fail_if detects the failures of other APIs. The document is nil if the body cannot be decoded.
func (f *fetcher) checkRefusal(req *http.Request, resp *httpclient.Response, doc *sources.Document) error {
	var root document.Value
	if doc != nil {
		root = doc.Root
	}
	if why, failed := graphQLError(req, root); failed {
		return fmt.Errorf("GraphQL returned no data: %s", f.excerpt(why))
	}
	if f.set.FailIf.IsZero() {
		return nil
	}
	answer, err := f.set.FailIf.Run(req.Context(), map[string]any{
		"status": resp.StatusCode, "headers": headersOf(resp.Header), "body": root.JQ(),
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

// graphQLError returns the first error of a GraphQL response that has errors and no data (GraphQL, October 2021, section 7.1). A
// response with errors and data is a partial result, which is used.
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

// isGraphQL reports whether a request is a GraphQL request: its body is an object with a query (GraphQL over HTTP, section 5.1).
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
