package http

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/web"
	"github.com/collectington/collectington/sources"
)

// perItem is the settings' request with an item's fields in it, and who sends it.
type perItem struct {
	path    itemText
	query   map[string]itemText
	body    itemText
	json    bool       // the body is JSON
	workers []*fetcher // as many as were needed so far; each with a memory of its own
}

func (c *Config) perItem() (*perItem, error) {
	p := &perItem{query: map[string]itemText{}}
	var err error
	if p.path, err = parseItemText(c.writtenPath()); err != nil {
		return nil, setting.Bad("url", "%v", err)
	}
	for name, text := range c.Query {
		if text.IsReference() {
			continue
		}
		if p.query[name], err = parseItemText(string(text)); err != nil {
			return nil, setting.Bad("query."+name, "%v", err)
		}
	}
	if p.body, err = parseItemText(c.Body); err != nil {
		return nil, setting.Bad("body", "%v", err)
	}
	p.json = strings.HasPrefix(strings.TrimSpace(c.Body), "{") || strings.HasPrefix(strings.TrimSpace(c.Body), "[")
	return p, nil
}

// request is the request for an item. What r says of query, headers and body goes before the settings.
func (p *perItem) request(c *Config, tick sources.Tick, i *item, r sources.Request) (sources.Request, error) {
	path, err := p.path.fill(tick, i, inPath)
	if err != nil {
		return r, fmt.Errorf("url: %w", err)
	}
	r.URL = (&url.URL{Scheme: c.URL.Scheme, Host: c.URL.Host}).String() + path
	if c.URL.RawQuery != "" {
		r.URL += "?" + c.URL.RawQuery
	}
	r.Method = cmp.Or(r.Method, c.Method)
	if r.Query == nil {
		for _, name := range sorted(c.Query) {
			if c.Query[name].IsReference() {
				continue
			}
			value, err := p.query[name].fill(tick, i, asIs)
			if err != nil {
				return r, fmt.Errorf("query.%s: %w", name, err)
			}
			r.Query = append(r.Query, sources.Parameter{Name: name, Value: value})
		}
	}
	if r.Body == nil && r.Method == http.MethodPost {
		escape := asIs
		if p.json {
			escape = inJSON
		}
		text, err := p.body.fill(tick, i, escape)
		if err != nil {
			return r, fmt.Errorf("body: %w", err)
		}
		r.Body = &text
	}
	return r, nil
}

// each asks for the list, and for each of its items, some at once.
func (f *fetcher) each(ctx context.Context, tick sources.Tick, r sources.Request) (*sources.Document, error) {
	e := f.set.ForEach
	list, err := f.paged(ctx, tick, sources.Request{URL: e.URL}, e.Paginate)
	if err != nil {
		return nil, fmt.Errorf("for_each: %w", err)
	}
	from := list.From
	items, err := e.in(ctx, list.Root)
	if err != nil {
		return nil, fmt.Errorf("%s: for_each.items: %s", from, f.shown(err.Error()))
	}
	answers, err := f.bodies(ctx, tick, r, items)
	if err != nil {
		return nil, err
	}
	text := append(f.pageText[:0], '[')
	for i, answer := range answers {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(append(text, `{"item":`...), items[i].json...), ',')
		text = append(append(text, answer...), '}')
	}
	f.pageText = append(text, ']')
	return f.joined.JSON(from, f.pageText)
}

// bodies are the members "body" or "error" of the document, in the items' order. Together they are held to max_body.
func (f *fetcher) bodies(ctx context.Context, tick sources.Tick, r sources.Request, items []item) ([][]byte, error) {
	for len(f.items.workers) < min(f.set.ForEach.concurrency(), len(items)) {
		f.items.workers = append(f.items.workers, &fetcher{
			set: f.set, web: f.web, client: f.client, query: f.query, body: f.body, literals: f.literals, decoder: f.set.Decoding.Decoder(f.web.Secrets),
		})
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	answers := make([][]byte, len(items))
	var size, failed, next atomic.Int64
	var work sync.WaitGroup
	for _, worker := range f.items.workers {
		work.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(items)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				answer, err := worker.answer(ctx, tick, r, f.items, &items[i])
				switch {
				case err == nil && size.Add(int64(len(answer))) > int64(f.set.MaxBody):
					stop(fmt.Errorf("the answers together exceed max_body (%s)", f.set.MaxBody))
				case err == nil:
					answers[i] = answer
				case ctx.Err() == nil && f.skips(err):
					failed.Add(1)
					answers[i] = document.AppendQuoted([]byte(`"error":`), err.Error())
				default:
					stop(err)
				}
				if err != nil && failed.Load() == int64(len(items)) {
					stop(fmt.Errorf("none of the items of for_each can be had: %w", err))
				}
			}
		})
	}
	work.Wait()
	return answers, context.Cause(ctx)
}

// skips tells whether an error costs no more than its item. A time to wait holds for all of them.
func (f *fetcher) skips(err error) bool {
	_, waits := errors.AsType[*web.WaitError](err)
	return f.set.ForEach.OnError == skipItem && !waits
}

// answer is the document's member for one item.
func (f *fetcher) answer(ctx context.Context, tick sources.Tick, r sources.Request, p *perItem, i *item) ([]byte, error) {
	request, err := p.request(f.set, tick, i, r)
	if err != nil {
		return nil, fmt.Errorf("for_each, %s: %s", f.shown(string(i.json)), f.web.Secrets.Scrub(err.Error()))
	}
	doc, err := f.paged(ctx, tick, request, f.set.Paginate)
	if err != nil {
		return nil, err
	}
	return doc.Root.AppendJSON([]byte(`"body":`), int(f.set.MaxBody)), nil
}
