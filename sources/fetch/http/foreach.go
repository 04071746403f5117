package http

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

// ForEach sends the settings' request once for each item of a list. The list is fetched first, or written in the settings. Fields
// of the item, such as {{ .Item.id }}, are filled into path, query, headers and body. The document is a list of
// {"item": …, "body": …}, in the order of the items. With keepItem, the objects also have "status", and "error" if the item failed.
type ForEach struct {
	URL         string    `yaml:"url"`      // the URL that the list is fetched from, absolute or relative to the job's url; "" = nothing is fetched, and Items is the list
	Paginate    *Paginate `yaml:"paginate"` // paging of the list; nil = one page
	Items       selector  `yaml:"items"`    // selects the items of the list, such as .users[]; or the list itself: "Oslo", "Bergen"
	Max         int       `yaml:"max"`      // maximum number of items; with more items the tick fails; 0 = 1000
	Concurrency int       `yaml:"concurrency"`
	OnError     onError   `yaml:"on_error"`

	Timeout setting.Duration `yaml:"timeout"` // time-out of one item; 0 = only the time-out of the job
}

// onError says what happens if an item cannot be fetched: the tick fails, the item is left out, or the item is kept without a body.
type onError string

const (
	failTick onError = "fail"
	skipItem onError = "skip"
	keepItem onError = "keep"
)

// Words returns all values that the setting can have, for cton explain.
func (onError) Words() []string {
	return []string{string(failTick), string(skipItem), string(keepItem)}
}

// UnmarshalText parses fail, skip or keep.
func (o *onError) UnmarshalText(text []byte) error {
	if *o = onError(text); *o != failTick && *o != skipItem && *o != keepItem {
		return errors.New("want fail, skip or keep")
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
		problems = append(problems, setting.Errorf(path, format, args...))
	}
	if e.URL == "" && e.Paginate != nil {
		bad("paginate", "needs url, the URL of the list")
	}
	address, err := c.URL.Parse(e.URL)
	if err != nil {
		bad("url", "not a valid URL: want one such as https://api.example.com/v1")
		address = &url.URL{}
	}
	if e.Items.IsZero() {
		bad("items", "is required: the items of the list in jq, such as .users[], or without url the list itself")
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
		list := &Config{URL: Address{PathOrURL: setting.PathOrURL{URL: setting.URL{URL: *address}}}}
		problems = append(problems, e.Paginate.validate(list))
	}
	if templates, err := c.templates(); err == nil && !templates.any(itemTemplate.namesItem) {
		bad("", "url, query, headers and body do not name the item: add {{ .Item.id }} to one of them")
	}
	return setting.Under("for_each", errors.Join(problems...))
}

// validateWritten checks a list that is written in the settings. It evaluates the list, which is the same at every tick.
func (e *ForEach) validateWritten() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	items, err := e.in(ctx, document.Value{})
	switch {
	case err != nil:
		return setting.Errorf("items", "%v; to fetch the list, set url", err)
	case len(items) == 0 || items[0].value == nil:
		return setting.Errorf("items", `gives no items: set url to fetch the list, or write the list itself: "Oslo", "Bergen"`)
	}
	return nil
}

// item is one item of the list.
type item struct {
	value any    // value of jq
	json  []byte // value as JSON, for the document
}

// in returns the items that the setting Items selects from a document.
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

// field returns the value at a path of the item, as text for a request.
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
		return "", fmt.Errorf("%s is empty or missing in the item: leave out such items in for_each.items, with select(…)", name)
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
	var answers []uint64
	var asked [][]byte
	text := append(f.pageText[:0], '[')
	for i, a := range results {
		answers, asked = append(answers, a.answer), append(asked, items[i].json)
		if a.err != nil {
			skipped.Add(sources.Skipped{Items: 1, First: a.err})
			continue
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = append(append(append(text, `{"item":`...), items[i].json...), ',')
		text = append(append(text, a.members...), '}')
	}
	f.pageText = append(text, ']')
	doc, err := f.joined.JSON(from, f.pageText)
	if err != nil {
		return nil, err
	}
	doc.Skipped, doc.Answer = skipped, sources.JoinAnswers(answers, asked...)
	for _, a := range results {
		doc.Single = cmp.Or(doc.Single, a.single)
	}
	return doc, nil
}

// fetchList returns the document from which the items are selected. If the items are written in the settings, the root of the document is
// null.
func (f *fetcher) fetchList(ctx context.Context, tick sources.Tick) (*sources.Document, error) {
	e := f.set.ForEach
	if e.URL == "" {
		return &sources.Document{From: f.host.Secrets.Scrub(f.set.method() + " " + setting.Place(&f.set.URL.URL.URL))}, nil
	}
	if f.lister == nil { // document and valid_status_codes are only for the items, not for the list
		f.lister = &fetcher{requestBuilder: f.requestBuilder, client: f.client, decoder: f.set.Decoding.Decoder(f.host.Secrets)}
	}
	return f.lister.fetchPaged(ctx, tick, sources.Request{URL: e.URL}, e.Paginate)
}

// itemResult is the outcome of one item.
type itemResult struct {
	members []byte // members of the item's object in the document, as JSON without braces
	single  string // Document.Single of the item's document
	err     error  // why the item is skipped; nil = it is not
	answer  uint64 // see sources.Document; 0 for an item that failed
}

// fetchItems returns the results in the order of the items. All results together may be at most max_body large.
func (f *fetcher) fetchItems(ctx context.Context, tick sources.Tick, r sources.Request, items []item) ([]itemResult, error) {
	for len(f.workers) < min(f.set.ForEach.concurrency(), len(items)) {
		f.workers = append(f.workers, &fetcher{
			requestBuilder: f.requestBuilder, client: f.client, decoder: f.set.Decoding.Decoder(f.host.Secrets), valid: f.valid, document: f.document,
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
				result, lost, err := worker.fetchItem(ctx, tick, r, &items[i])
				results[i] = result
				if size.Add(int64(len(result.members))) > int64(f.set.MaxBody) {
					err = fmt.Errorf("the bodies of all items together exceed max_body (%s): select fewer items, or raise it", f.set.MaxBody)
				}
				if err == nil && lost != nil && failed.Add(1) == int64(len(items)) {
					err = fmt.Errorf("all items of for_each failed: %w", lost)
				}
				if err != nil {
					stop(err)
				}
			}
		})
	}
	work.Wait()
	return results, context.Cause(ctx)
}

// fetchItem fetches one item. If the result "lost" is not nil, the item could not be fetched (with keepItem: not even a status was
// received). If all items are lost, the server itself is probably down. If the result "err" is not nil, the tick fails.
func (f *fetcher) fetchItem(ctx context.Context, tick sources.Tick, r sources.Request, i *item) (result itemResult, lost, err error) {
	body, err := f.itemBody(ctx, tick, r, i, &result)
	keeps := f.set.ForEach.OnError == keepItem
	switch {
	case err == nil && keeps && f.document == Body:
		result.members = fmt.Appendf(nil, `"status":%d,"body":%s`, f.status, body)
	case err == nil && f.document == Body:
		result.members = append([]byte(`"body":`), body...)
	case err == nil:
		result.members = body[1 : len(body)-1] // the members of the response's object, which include status and body
	case ctx.Err() != nil || !f.set.ForEach.concernsItem(err):
		return result, nil, err
	case keeps:
		if f.status == 0 {
			lost = err
		}
		result.members = appendError(fmt.Appendf(nil, `"status":%d,"body":null`, f.status), err)
	default:
		lost, result.err = err, err
	}
	return result, lost, nil
}

// concernsItem reports whether the tick can go on after an error: the error concerns only the item, and on_error allows it. A rate limit or
// a failed login concerns all items.
func (e *ForEach) concernsItem(err error) bool {
	_, waits := errors.AsType[*httpclient.WaitError](err)
	_, unsigned := errors.AsType[*httpclient.CredentialsError](err)
	return (e.OnError == skipItem || e.OnError == keepItem) && !waits && !unsigned
}

// itemBody returns the document of one item as JSON. It puts what else is known of the document into the result.
func (f *fetcher) itemBody(ctx context.Context, tick sources.Tick, r sources.Request, i *item, result *itemResult) (body []byte, err error) {
	f.status = 0
	if timeout := time.Duration(f.set.ForEach.Timeout); timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, fmt.Errorf("timed out after %s (for_each.timeout)", timeout))
		defer cancel()
	}
	defer f.begin()()
	f.remake = func() (sources.Request, error) {
		f.requestBuilder = f.requestBuilder.at(time.Now())
		request, err := f.forItem(tick, i, r)
		if err != nil {
			return request, fmt.Errorf("for_each, %s: %s", f.excerpt(string(i.json)), f.host.Secrets.Scrub(err.Error()))
		}
		return request, nil
	}
	defer func() { f.remake = nil }()
	request, err := f.remake()
	if err != nil {
		return nil, err
	}
	doc, err := f.fetchPaged(ctx, tick, request, f.set.Paginate)
	if err != nil {
		return nil, err
	}
	result.single, result.answer = doc.Single, doc.Answer
	return doc.Root.AppendJSON(nil, int(f.set.MaxBody)), nil
}
