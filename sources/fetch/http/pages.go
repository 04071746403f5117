package http

import (
	"context"
	"fmt"
	"hash/maphash"

	"github.com/collectington/collectington/agent/document"
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
		return f.one(ctx, tick, r, step{})
	case f.set.ForEach != nil:
		return f.each(ctx, tick, r)
	}
	return f.paged(ctx, tick, r, f.set.Paginate)
}

// paged asks for all pages, or where there are no more than one for that.
func (f *fetcher) paged(ctx context.Context, tick sources.Tick, r sources.Request, by *Paginate) (*sources.Document, error) {
	if by == nil {
		return f.one(ctx, tick, r, step{})
	}
	return f.pages(ctx, tick, r, by)
}

// pages asks for one page after the other and joins them. A page that fails fails the whole.
func (f *fetcher) pages(ctx context.Context, tick sources.Tick, r sources.Request, by *Paginate) (*sources.Document, error) {
	p := newPager(f, by)
	at := p.begin()
	for n := 1; n <= by.maxPages(); n++ {
		request := r
		if at.url != "" {
			request = sources.Request{URL: at.url, Headers: r.Headers} // the address holds the query
		}
		doc, err := f.one(ctx, tick, request, at)
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
		return fmt.Errorf("the page is the same as an earlier one: does the API know the parameter %s?", p.set.place())
	}
	return nil
}
