package goclass

import (
	"context"
	"fmt"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/sources"
)

// maxFetches is the maximum number of different requests in one tick.
const maxFetches = 1000

// Tick holds what the methods of one tick share: the time and window, the settings, and the documents. It is not safe for
// concurrent use, and must not be used after the method has returned.
type Tick struct {
	sources.Tick
	Settings map[string]any // must not be changed

	source    *source
	responses map[string]response
	ownErr    error // the error of fetching the job's own document; it fails the tick
	otherErr  error // the error of the first other request that failed; it fails the methods that need the document
	skipped   sources.Skipped
}

// response is the result of a request.
type response struct {
	doc document.Value
	err error
}

// Document returns the job's own document. It is fetched once per tick, for all methods.
func (t *Tick) Document(ctx context.Context) (document.Value, error) {
	return t.Fetch(ctx, sources.Request{})
}

// Fetch returns the document of a request. The request is relative to the settings of the job's fetcher. Each request is sent only
// once per tick: all methods of the class that need it get the same response. A request may take half of the time that is left in the
// tick, so that a slow one fails only the methods that need it, and not the whole tick.
func (t *Tick) Fetch(ctx context.Context, r sources.Request) (document.Value, error) {
	key := r.Key()
	if a, ok := t.responses[key]; ok {
		return a.doc, a.err
	}
	if len(t.responses) >= maxFetches {
		return document.Value{}, fmt.Errorf("more than %d distinct requests in one run: request more data with each", maxFetches)
	}
	doc, err := t.send(ctx, r)
	t.responses[key] = response{doc, err}
	switch {
	case err != nil && r.IsZero():
		t.ownErr = err
	case err != nil && t.otherErr == nil:
		t.otherErr = err
	}
	return doc, err
}

// send fetches the document of a request.
func (t *Tick) send(ctx context.Context, r sources.Request) (document.Value, error) {
	fetcher := t.source.env.Fetch
	if fetcher == nil {
		return document.Value{}, fmt.Errorf("the job has no fetcher: add one next to %s, such as http", t.source.class)
	}
	if !r.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = sources.WithHalfTime(ctx)
		defer cancel()
	}
	doc, err := fetcher.Fetch(ctx, t.Tick, r)
	if err != nil {
		return document.Value{}, err
	}
	t.skipped.Add(doc.Skipped)
	return doc.Root.Clone(), nil // the next fetch reuses the memory of the document
}

// Secret returns the secret that has this name in the setting "secrets". It reads the secret at each call, so that a changed secret takes
// effect.
func (t *Tick) Secret(name string) (string, error) {
	reference, ok := t.source.Secrets[name]
	if !ok {
		return "", fmt.Errorf("no secret %s: add it to secrets, such as %s: \"env:%s\"; with a config.json, add it to the file that secret_file_path names", name, name, name)
	}
	return t.source.env.Web.Secrets.Secret(reference)
}
