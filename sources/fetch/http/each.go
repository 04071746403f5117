package http

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// requestFor is the settings' request for an item, with its fields filled in. What r says of query, headers and body goes
// before the settings.
func (f *fetcher) requestFor(tick sources.Tick, i *item, r sources.Request) (sources.Request, error) {
	address, err := f.address(tick, i)
	if err != nil {
		return r, err
	}
	r.URL = address.String()
	r.Method = cmp.Or(r.Method, f.set.Method)
	if r.Query == nil {
		for _, p := range f.texts.query {
			if p.text == nil {
				continue
			}
			value, err := p.text.fill(tick, i, asIs)
			if err != nil {
				return r, fmt.Errorf("query.%s: %w", p.name, err)
			}
			r.Query = append(r.Query, sources.Parameter{Name: p.name, Value: value})
		}
	}
	var headers []sources.Parameter
	for _, h := range f.texts.headers {
		if !h.text.namesItem() {
			continue
		}
		value, err := h.text.fill(tick, i, asIs)
		if err != nil {
			return r, fmt.Errorf("headers.%s: %w", h.name, err)
		}
		f.web.RememberNamed(h.name, value)
		headers = append(headers, sources.Parameter{Name: h.name, Value: value})
	}
	r.Headers = append(headers, r.Headers...)
	if r.Body == nil && r.Method == http.MethodPost {
		text, err := f.bodyFor(tick, i)
		if err != nil {
			return r, err
		}
		r.Body = &text
	}
	return r, nil
}

// list is what the items are taken from: null where they are written down.
func (f *fetcher) list(ctx context.Context, tick sources.Tick) (*sources.Document, error) {
	e := f.set.ForEach
	if e.URL == "" {
		return &sources.Document{From: f.web.Secrets.Scrub(f.set.Method + " " + setting.Place(&f.set.URL.URL))}, nil
	}
	return f.paged(ctx, tick, sources.Request{URL: e.URL}, e.Paginate)
}

// each asks for the list, and for each of its items, some at once.
func (f *fetcher) each(ctx context.Context, tick sources.Tick, r sources.Request) (*sources.Document, error) {
	e := f.set.ForEach
	list, err := f.list(ctx, tick)
	if err != nil {
		return nil, fmt.Errorf("for_each: %w", err)
	}
	from := list.From
	items, err := e.in(ctx, list.Root)
	if err != nil {
		return nil, fmt.Errorf("%s: for_each.items: %s", from, f.shown(err.Error()))
	}
	answers, err := f.answers(ctx, tick, r, items)
	if err != nil {
		return nil, err
	}
	var skipped sources.Skipped
	text := append(f.pageText[:0], '[')
	for i, a := range answers {
		if a.err != nil {
			skipped.Add(sources.Skipped{Items: 1, First: a.err})
			continue
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = append(append(append(text, `{"item":`...), items[i].json...), `,"body":`...)
		text = append(append(text, a.body...), '}')
	}
	f.pageText = append(text, ']')
	doc, err := f.joined.JSON(from, f.pageText)
	if err != nil {
		return nil, err
	}
	doc.Skipped = skipped
	return doc, nil
}

// itemAnswer is what came of one item.
type itemAnswer struct {
	body []byte // JSON
	err  error  // why the item is left out
}

// answers are in the items' order. Together they are held to max_body.
func (f *fetcher) answers(ctx context.Context, tick sources.Tick, r sources.Request, items []item) ([]itemAnswer, error) {
	for len(f.workers) < min(f.set.ForEach.concurrency(), len(items)) {
		f.workers = append(f.workers, &fetcher{
			set: f.set, web: f.web, client: f.client, texts: f.texts, literals: f.literals, decoder: f.set.Decoding.Decoder(f.web.Secrets),
		})
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	answers := make([]itemAnswer, len(items))
	var size, failed, next atomic.Int64
	var work sync.WaitGroup
	for _, worker := range f.workers {
		work.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(items)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				body, err := worker.answer(ctx, tick, r, &items[i])
				switch {
				case err == nil && size.Add(int64(len(body))) > int64(f.set.MaxBody):
					stop(fmt.Errorf("the answers together exceed max_body (%s)", f.set.MaxBody))
				case err == nil:
					answers[i].body = body
				case ctx.Err() == nil && f.skips(err):
					failed.Add(1)
					answers[i].err = err
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
	_, waits := errors.AsType[*httpclient.WaitError](err)
	return f.set.ForEach.OnError == skipItem && !waits
}

// answer is the body for one item.
func (f *fetcher) answer(ctx context.Context, tick sources.Tick, r sources.Request, i *item) ([]byte, error) {
	request, err := f.requestFor(tick, i, r)
	if err != nil {
		return nil, fmt.Errorf("for_each, %s: %s", f.shown(string(i.json)), f.web.Secrets.Scrub(err.Error()))
	}
	doc, err := f.paged(ctx, tick, request, f.set.Paginate)
	if err != nil {
		return nil, err
	}
	return doc.Root.AppendJSON(nil, int(f.set.MaxBody)), nil
}
