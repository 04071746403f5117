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
	"time"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// ForEach sends the settings' request once for each item of a list, which is fetched first or written in the settings. Fields
// of the item, such as {{ .Item.id }}, are filled into path, query, headers and body. The document is the list of
// {"item": …, "body": …}, in the order of the items.
type ForEach struct {
	URL         string    `yaml:"url"`      // of the list, absolute or relative to the settings' URL; "" = items is the list
	Paginate    *Paginate `yaml:"paginate"` // of the list
	Items       selector  `yaml:"items"`    // selects the items of the list, such as .users[]; or the list itself: "Oslo", "Bergen"
	Max         int       `yaml:"max"`      // more items fail the tick; 0 = 1000
	Concurrency int       `yaml:"concurrency"`
	OnError     onError   `yaml:"on_error"`
}

// onError is the effect of an item that cannot be fetched: the tick fails, or the item is left out.
type onError string

const (
	failTick onError = "fail"
	skipItem onError = "skip"
)

// Words returns the values of the setting.
func (onError) Words() []string { return []string{string(failTick), string(skipItem)} }

// UnmarshalText parses fail or skip.
func (o *onError) UnmarshalText(text []byte) error {
	if *o = onError(text); *o != failTick && *o != skipItem {
		return errors.New("want fail or skip")
	}
	return nil
}

const (
	defaultItems       = 1000
	maxItems           = 100_000
	defaultConcurrency = 4
	maxConcurrency     = 64
)

func (e *ForEach) maxItems() int    { return cmp.Or(e.Max, defaultItems) }
func (e *ForEach) concurrency() int { return cmp.Or(e.Concurrency, defaultConcurrency) }

func (e *ForEach) validate(c *Config) error {
	var problems []error
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Bad(path, format, args...))
	}
	if e.URL == "" && e.Paginate != nil {
		bad("paginate", "needs url, the URL of the list")
	}
	address, err := c.URL.Parse(e.URL)
	if err != nil {
		bad("url", "not a valid URL")
		address = &url.URL{}
	}
	if e.Items.IsZero() {
		bad("items", "required: the items of the list in jq, such as .users[], or without url the list itself")
	} else if e.URL == "" && e.Max >= 0 && e.Max <= maxItems {
		problems = append(problems, e.validateWritten())
	}
	if e.Max < 0 || e.Max > maxItems {
		bad("max", "want 1 to %d", maxItems)
	}
	if e.Concurrency < 0 || e.Concurrency > maxConcurrency {
		bad("concurrency", "want 1 to %d", maxConcurrency)
	}
	if e.Paginate != nil {
		list := &Config{URL: setting.URL{URL: *address}, Method: http.MethodGet}
		problems = append(problems, e.Paginate.validate(list))
	}
	if templates, err := c.templates(); err == nil && !templates.any(itemTemplate.namesItem) {
		bad("", "url, query, headers and body do not name the item: add {{ .Item.id }} to one of them")
	}
	return setting.Under("for_each", errors.Join(problems...))
}

// validateWritten evaluates a list that is written in the settings: it is the same at every tick.
func (e *ForEach) validateWritten() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	items, err := e.in(ctx, document.Value{})
	switch {
	case err != nil:
		return setting.Bad("items", "%v; to fetch the list, set url", err)
	case len(items) == 0 || items[0].value == nil:
		return setting.Bad("items", `gives no items: set url to fetch the list, or write the list itself: "Oslo", "Bergen"`)
	}
	return nil
}

// item is one item of the list.
type item struct {
	value any    // of jq
	json  []byte // for the document
}

// in returns the items of a list.
func (e *ForEach) in(ctx context.Context, root document.Value) ([]item, error) {
	var items []item
	err := e.Items.Each(ctx, root.JQ(), func(v any) error {
		if len(items) == e.maxItems() {
			return fmt.Errorf("more than %d items: raise for_each.max, or select fewer in for_each.items", e.maxItems())
		}
		text, err := gojq.Marshal(v)
		if err == nil {
			items = append(items, item{v, text})
		}
		return err
	})
	return items, err
}

// field returns the value at a path of the item as it is sent in a request.
func (i *item) field(path []string) (string, error) {
	v := i.value
	for _, name := range path {
		object, ok := v.(map[string]any)
		if !ok {
			v = nil
			break
		}
		v = object[name]
	}
	text, err := textOf(v)
	name := strings.Join(append([]string{".Item"}, path...), ".")
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", name, err)
	case text == "":
		return "", fmt.Errorf("%s is empty or missing", name)
	case len(text) > maxCursor:
		return "", fmt.Errorf("%s has %d bytes, more than %d", name, len(text), maxCursor)
	}
	return text, nil
}

// fetchEach fetches the list and then each of its items, several at once.
func (f *fetcher) fetchEach(ctx context.Context, tick sources.Tick, r sources.Request) (*sources.Document, error) {
	e := f.set.ForEach
	list, err := f.fetchList(ctx, tick)
	if err != nil {
		return nil, fmt.Errorf("for_each: %w", err)
	}
	from := list.From
	items, err := e.in(ctx, list.Root)
	if err != nil {
		return nil, fmt.Errorf("%s: for_each.items: %s", from, f.excerpt(err.Error()))
	}
	results, err := f.fetchItems(ctx, tick, r, items)
	if err != nil {
		return nil, err
	}
	var skipped sources.Skipped
	text := append(f.pageText[:0], '[')
	for i, a := range results {
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

// fetchList returns the document that the items are selected from: null if they are written in the settings.
func (f *fetcher) fetchList(ctx context.Context, tick sources.Tick) (*sources.Document, error) {
	e := f.set.ForEach
	if e.URL == "" {
		return &sources.Document{From: f.host.Secrets.Scrub(f.set.Method + " " + setting.Place(&f.set.URL.URL))}, nil
	}
	return f.fetchPaged(ctx, tick, sources.Request{URL: e.URL}, e.Paginate)
}

// itemResult is the outcome of one item.
type itemResult struct {
	body []byte // JSON
	err  error  // why the item is skipped
}

// fetchItems returns the results in the order of the items. Their bodies together are bounded by max_body.
func (f *fetcher) fetchItems(ctx context.Context, tick sources.Tick, r sources.Request, items []item) ([]itemResult, error) {
	for len(f.workers) < min(f.set.ForEach.concurrency(), len(items)) {
		f.workers = append(f.workers, &fetcher{
			requestBuilder: f.requestBuilder, client: f.client, decoder: f.set.Decoding.Decoder(f.host.Secrets),
		})
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	results := make([]itemResult, len(items))
	var size, failed, next atomic.Int64
	var work sync.WaitGroup
	for _, worker := range f.workers {
		work.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(items)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				body, err := worker.fetchItem(ctx, tick, r, &items[i])
				switch {
				case err == nil && size.Add(int64(len(body))) > int64(f.set.MaxBody):
					stop(fmt.Errorf("the bodies of all items together exceed max_body (%s)", f.set.MaxBody))
				case err == nil:
					results[i].body = body
				case ctx.Err() == nil && f.skips(err):
					failed.Add(1)
					results[i].err = err
				default:
					stop(err)
				}
				if err != nil && failed.Load() == int64(len(items)) {
					stop(fmt.Errorf("all items of for_each failed: %w", err))
				}
			}
		})
	}
	work.Wait()
	return results, context.Cause(ctx)
}

// skips reports whether an error skips only its item. A rate limit concerns all items.
func (f *fetcher) skips(err error) bool {
	_, waits := errors.AsType[*httpclient.WaitError](err)
	return f.set.ForEach.OnError == skipItem && !waits
}

// fetchItem returns the body for one item.
func (f *fetcher) fetchItem(ctx context.Context, tick sources.Tick, r sources.Request, i *item) ([]byte, error) {
	request, err := f.forItem(tick, i, r)
	if err != nil {
		return nil, fmt.Errorf("for_each, %s: %s", f.excerpt(string(i.json)), f.host.Secrets.Scrub(err.Error()))
	}
	doc, err := f.fetchPaged(ctx, tick, request, f.set.Paginate)
	if err != nil {
		return nil, err
	}
	return doc.Root.AppendJSON(nil, int(f.set.MaxBody)), nil
}
