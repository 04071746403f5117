package http

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/setting"
)

// ForEach gets a list first, or has it written down, and then the settings' own request once for each of its items, by which {{ .Item.id }} in
// path, query, headers and body is filled in. The document is the list of {"item": …, "body": …}, in the items' order.
type ForEach struct {
	URL         string    `yaml:"url"`      // of the list, absolute or relative to the settings'; "" = items is the list
	Paginate    *Paginate `yaml:"paginate"` // of the list
	Items       pick      `yaml:"items"`    // the items of the list, such as .users[]; or the list itself: "Oslo", "Bergen"
	Max         int       `yaml:"max"`      // more items fail the tick; 0 = 1000
	Concurrency int       `yaml:"concurrency"`
	OnError     onError   `yaml:"on_error"`
}

// onError is what an item costs that cannot be had: the tick, or its own readings.
type onError string

const (
	failTick onError = "fail"
	skipItem onError = "skip"
)

// UnmarshalText reads a name.
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
		bad("paginate", "goes with url, the address of the list")
	}
	address, err := c.URL.Parse(e.URL)
	if err != nil {
		bad("url", "not an address")
		address = &url.URL{}
	}
	if e.Items.IsZero() {
		bad("items", "is needed: the items of the list in jq, such as .users[], or without url the list itself")
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
	if texts, err := c.texts(); err == nil && !texts.any(itemText.namesItem) {
		bad("", "nothing in url, query, headers or body names the item: write {{ .Item.id }} where it belongs")
	}
	return setting.Under("for_each", errors.Join(problems...))
}

// validateWritten tries a list that is written down: it is the same at every tick.
func (e *ForEach) validateWritten() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	items, err := e.in(ctx, document.Value{})
	switch {
	case err != nil:
		return setting.Bad("items", "%v; a list that an address gives needs that in url", err)
	case len(items) == 0 || items[0].value == nil:
		return setting.Bad("items", `names no items: write url beside it, the address of the list, or the list itself: "Oslo", "Bergen"`)
	}
	return nil
}

// item is one item of the list.
type item struct {
	value any    // as jq has it
	json  []byte // as it stands in the document
}

// in are the list's items.
func (e *ForEach) in(ctx context.Context, root document.Value) ([]item, error) {
	var items []item
	iter := e.Items.All(ctx, root.JQ())
	for {
		v, more := iter.Next()
		if !more {
			return items, nil
		}
		if err, failed := v.(error); failed {
			return nil, err
		}
		if len(items) == e.maxItems() {
			return nil, fmt.Errorf("more than %d items: raise for_each.max, or choose among them in for_each.items", e.maxItems())
		}
		text, err := gojq.Marshal(v)
		if err != nil {
			return nil, err
		}
		items = append(items, item{v, text})
	}
}

// field is what stands at a path in the item, as it stands in a request.
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
		return "", fmt.Errorf("%s: the item has none", name)
	case len(text) > maxCursor:
		return "", fmt.Errorf("%s: has %d bytes, more than %d", name, len(text), maxCursor)
	}
	return text, nil
}
