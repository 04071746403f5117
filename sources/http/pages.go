package http

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/url"
	"strconv"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/web"
	"github.com/collectington/collectington/sources"
)

// Ask asks for what the request says, and where that is the settings' own address, for all its items and pages. Its errors
// name the method and the place, and of pages after the first which it is.
func (f *fetcher) Ask(ctx context.Context, tick sources.Tick, r sources.Request) (*sources.Document, error) {
	for _, given := range [][]sources.Parameter{r.Query, r.Headers} {
		for _, p := range given {
			f.web.RememberNamed(p.Name, p.Value)
		}
	}
	switch {
	case r.URL != "":
		return f.one(ctx, tick, r)
	case f.items != nil:
		return f.each(ctx, tick, r)
	}
	return f.paged(ctx, tick, r, f.set.Paginate)
}

// paged asks for all pages, or where there are no more than one for that.
func (f *fetcher) paged(ctx context.Context, tick sources.Tick, r sources.Request, by *Paginate) (*sources.Document, error) {
	if by == nil {
		return f.one(ctx, tick, r)
	}
	return f.pages(ctx, tick, r, by)
}

// step leads to a page.
type step struct {
	url   string // "" = the settings'
	param string // of the query, with its value; "" = none
	value string
}

// pages asks for one page after the other and joins them. A page that fails fails the whole.
func (f *fetcher) pages(ctx context.Context, tick sources.Tick, r sources.Request, by *Paginate) (*sources.Document, error) {
	p := newPager(f, by)
	at := p.begin()
	for n := 1; n <= by.maxPages(); n++ {
		request, extra := r, []sources.Parameter(nil)
		if at.url != "" {
			request = sources.Request{URL: at.url, Headers: r.Headers} // the address holds the query
		}
		if at.param != "" {
			extra = []sources.Parameter{{Name: at.param, Value: at.value}}
		}
		doc, err := f.one(ctx, tick, request, extra...)
		if err != nil {
			return nil, onPage(n, err)
		}
		list, err := by.Items.in(doc.Root)
		if err != nil {
			return nil, onPage(n, fmt.Errorf("%s: %w", doc.From, err))
		}
		next, err := p.next(ctx, doc.Root, list)
		if err != nil {
			return nil, onPage(n, fmt.Errorf("%s: %w", doc.From, err))
		}
		if n == 1 && next == nil {
			return doc, nil
		}
		if err := p.join(doc, list); err != nil {
			return nil, onPage(n, fmt.Errorf("%s: %w", doc.From, err))
		}
		if next == nil {
			return p.joined.document(&f.joined)
		}
		at = *next
	}
	return nil, fmt.Errorf("%s: more than %d pages, and nothing is left out silently: ask for less, or raise paginate.max_pages",
		p.joined.from, by.maxPages())
}

// onPage says in an error on which page it came up.
func onPage(n int, err error) error {
	if n == 1 {
		return err
	}
	return fmt.Errorf("page %d: %w", n, err)
}

// pager goes through the pages of one fetch.
type pager struct {
	*fetcher
	set    *Paginate
	number int // of the page under way, or of its first item
	seed   maphash.Seed
	seen   map[uint64]bool // of cursors, addresses or pages, so that a circle is noticed
	joined joined
}

func newPager(f *fetcher, by *Paginate) *pager {
	p := &pager{fetcher: f, set: by, seed: maphash.MakeSeed(), seen: map[uint64]bool{}}
	if p.set.Page != nil {
		p.number = 1
		if p.set.Page.Start != nil {
			p.number = *p.set.Page.Start
		}
	}
	p.joined = joined{path: p.set.Items.path, max: int(f.set.MaxBody), text: f.pageText[:0]}
	return p
}

// begin leads to the first page. A cursor has none to begin with.
func (p *pager) begin() step {
	if p.set.Page != nil || p.set.Offset != nil {
		return step{param: p.set.param(), value: strconv.Itoa(p.number)}
	}
	return step{}
}

// next leads to the page after this one; nil where this is the last.
func (p *pager) next(ctx context.Context, page, list document.Value) (*step, error) {
	if !p.set.Until.IsZero() {
		end, err := p.set.Until.from(ctx, page)
		if err != nil {
			return nil, fmt.Errorf("paginate.until: %s", p.shown(err.Error()))
		}
		if isTrue(end) {
			return nil, nil
		}
	}
	switch {
	case p.set.Cursor != nil:
		return p.byCursor(ctx, page)
	case p.set.Link:
		return p.byAddress(nextLink(p.header))
	case !p.set.NextURL.IsZero():
		address, err := p.set.NextURL.textFrom(ctx, page)
		if err != nil {
			return nil, fmt.Errorf("paginate.next_url: %s", p.shown(err.Error()))
		}
		return p.byAddress(address)
	}
	items := 0
	for range list.Items {
		items++
	}
	if items == 0 {
		return nil, nil
	}
	if p.set.Page != nil {
		items = 1
	}
	p.number += items
	return &step{param: p.set.param(), value: strconv.Itoa(p.number)}, nil
}

func (p *pager) byCursor(ctx context.Context, page document.Value) (*step, error) {
	cursor := p.header.Get(p.set.Cursor.Header)
	if p.set.Cursor.Header == "" {
		var err error
		if cursor, err = p.set.Cursor.From.textFrom(ctx, page); err != nil {
			return nil, fmt.Errorf("paginate.cursor.from: %s", p.shown(err.Error()))
		}
	}
	switch {
	case cursor == "":
		return nil, nil
	case len(cursor) > maxCursor:
		return nil, fmt.Errorf("the next page's cursor has %d bytes, more than %d", len(cursor), maxCursor)
	case !p.isNew([]byte(cursor)):
		return nil, errors.New("the next page's cursor is that of an earlier page: say by paginate.until which page is the last")
	}
	return &step{param: p.set.Cursor.Param, value: cursor}, nil
}

// byAddress leads to an address that the API has given. It has to be on the settings' origin, which credentials go to.
func (p *pager) byAddress(address string) (*step, error) {
	if address == "" {
		return nil, nil
	}
	if len(address) > maxCursor {
		return nil, fmt.Errorf("the next page's address has %d bytes, more than %d", len(address), maxCursor)
	}
	relative, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the next page's address is none")
	}
	target := p.at.ResolveReference(relative)
	target.Fragment, target.RawFragment = "", ""
	if !web.SameOrigin(&p.fetcher.set.URL.URL, target) {
		origin := (&url.URL{Scheme: target.Scheme, Host: target.Host}).String()
		return nil, fmt.Errorf("the next page is elsewhere, at %s: refused, credentials would follow", p.shown(origin))
	}
	if !p.isNew([]byte(target.String())) {
		return nil, errors.New("the next page's address is that of an earlier page")
	}
	return &step{url: target.String()}, nil
}

func (p *pager) isNew(what []byte) bool {
	sum := maphash.Bytes(p.seed, what)
	old := p.seen[sum]
	p.seen[sum] = true
	return !old
}

// join adds a page. Where pages are told apart by a number, one that is like another shows that the number does nothing.
func (p *pager) join(doc *sources.Document, list document.Value) error {
	items, err := p.joined.add(doc, list)
	p.pageText = p.joined.text
	if err != nil {
		return err
	}
	if (p.set.Page != nil || p.set.Offset != nil) && len(items) > 0 && !p.isNew(items) {
		return fmt.Errorf("the page is the same as an earlier one: does the API know the parameter %s?", p.set.param())
	}
	return nil
}

// answered keeps of a response what leads to the next page.
func (f *fetcher) answered(req *http.Request, resp *http.Response) {
	f.header, f.at = resp.Header, req.URL
	if resp.Request != nil {
		f.at = resp.Request.URL // after redirects
	}
}
