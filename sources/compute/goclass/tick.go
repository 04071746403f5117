package goclass

import (
	"context"
	"errors"
	"fmt"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/sources"
)

// maxFetches bounds the distinct requests of one tick.
const maxFetches = 1000

// Tick is what the methods of one tick share: its time and window, the configuration's settings, and documents. It is not
// for use by several goroutines at once, nor after the method has returned.
type Tick struct {
	sources.Tick
	Settings map[string]any // not to be changed

	source  *source
	answers map[string]answer
	lost    error // why the job's own document could not be fetched, which fails the tick
	refused error // why the first other request failed, which fails the methods that want it
	skipped sources.Skipped
}

// answer is what came of one request, once a tick.
type answer struct {
	doc document.Value
	err error
}

// Document is the job's own document. However many methods ask for it, it is fetched once a tick.
func (t *Tick) Document(ctx context.Context) (document.Value, error) {
	return t.Fetch(ctx, sources.Request{})
}

// Fetch is the document that a request names, relative to what the job's fetcher is set to. It is fetched once a tick,
// however many methods ask for the same, and gets half of the time that the tick has left: a slow one costs the methods
// that want it, not the tick.
func (t *Tick) Fetch(ctx context.Context, r sources.Request) (document.Value, error) {
	key := r.Key()
	if a, ok := t.answers[key]; ok {
		return a.doc, a.err
	}
	if len(t.answers) >= maxFetches {
		return document.Value{}, fmt.Errorf("more than %d requests in one tick", maxFetches)
	}
	own := key == (sources.Request{}).Key()
	doc, err := t.ask(ctx, r, own)
	t.answers[key] = answer{doc, err}
	switch {
	case err != nil && own:
		t.lost = err
	case err != nil && t.refused == nil:
		t.refused = err
	}
	return doc, err
}

func (t *Tick) ask(ctx context.Context, r sources.Request, own bool) (document.Value, error) {
	fetcher := t.source.env.Fetch
	if fetcher == nil {
		return document.Value{}, errors.New("the job has nothing to fetch with: add http beside " + t.source.class)
	}
	var doc *sources.Document
	var err error
	if own {
		doc, err = fetcher.Fetch(ctx, t.Tick)
	} else {
		doc, err = sources.Ask(ctx, fetcher, t.Tick, r)
	}
	if err != nil {
		return document.Value{}, err
	}
	t.skipped.Add(doc.Skipped)
	return doc.Root.Clone(), nil // the next fetch would overwrite it
}

// Secret is the secret that the configuration names so under secrets, read afresh so that a changed one is noticed.
func (t *Tick) Secret(name string) (string, error) {
	reference, ok := t.source.Secrets[name]
	if !ok {
		return "", fmt.Errorf("no secret %s: name it under secrets, such as %s: \"env:%s\", or in a config.json as a line of the file that secret_file_path names", name, name, name)
	}
	return t.source.env.Web.Secrets.Secret(reference)
}
