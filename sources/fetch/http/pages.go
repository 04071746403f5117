package http

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/url"
	"strconv"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// fetchPages fetches all pages, one after another, and joins them. If a page cannot be fetched, fetchPages returns its error.
func (f *fetcher) fetchPages(ctx context.Context, tick sources.Tick, r sources.Request, by *Paginate) (*sources.Document, error) {
	p := newPager(f, by)
	at := p.begin()
	var answers []uint64
	for n := 1; n <= by.maxPages(); n++ {
		if n > 1 && f.remake != nil {
			var err error
			if r, err = f.remake(); err != nil {
				return nil, onPage(n, err)
			}
		}
		request := r
		if at.url != "" {
			request = sources.Request{URL: at.url, Headers: r.Headers} // the URL includes the query
		}
		doc, err := f.fetchOne(ctx, tick, request, at)
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
		answers = append(answers, doc.Answer)
		if err := p.join(doc, list); err != nil {
			return nil, onPage(n, fmt.Errorf("%s: %w", doc.From, err))
		}
		if next == nil {
			if doc, err = p.joined.document(&f.joined); err == nil {
				doc.Answer = sources.JoinAnswers(answers)
			}
			return doc, err
		}
		at = *next
	}
	return nil, fmt.Errorf("%s: more than %d pages: request less data, or raise paginate.max_pages",
		p.joined.from, by.maxPages())
}

// onPage adds the number of the page to an error.
func onPage(n int, err error) error {
	if n == 1 {
		return err
	}
	return fmt.Errorf("page %d: %w", n, err)
}

// pager steps through the pages of one fetch.
type pager struct {
	*fetcher
	set    *Paginate
	number int // number of the current page, or of its first item
	seed   maphash.Seed
	seen   map[uint64]bool // hashes of cursors, URLs or pages, to detect a cycle
	joined joinedPages
}

func newPager(f *fetcher, by *Paginate) *pager {
	p := &pager{fetcher: f, set: by, seed: maphash.MakeSeed(), seen: map[uint64]bool{}}
	if p.set.Page != nil {
		p.number = 1
		if p.set.Page.Start != nil {
			p.number = *p.set.Page.Start
		}
	}
	p.joined = joinedPages{path: p.set.Items.path, max: int(f.set.MaxBody), text: f.pageText[:0]}
	return p
}

// pageStep is how to request a page. The zero value requests the first page.
type pageStep struct {
	url    string   // URL of the page; "" = the settings' URL
	param  string   // query parameter that is set to value; "" = none
	body   bodyPath // path in the body that is set to value; nil = none
	value  string   // number or cursor of the page
	number bool     // value is a JSON number, not a string
}

// json returns the value as JSON.
func (s *pageStep) json() string {
	if s.number {
		return s.value
	}
	return string(document.AppendQuoted(nil, s.value))
}

// begin returns the step to the first page. With a cursor, the first request sets no parameter.
func (p *pager) begin() pageStep {
	if p.set.Page != nil || p.set.Offset != nil {
		return *p.byNumber()
	}
	return pageStep{}
}

// next returns the step to the next page, or nil if this page is the last one.
func (p *pager) next(ctx context.Context, page, list document.Value) (*pageStep, error) {
	items := list.Len()
	empty := items == 0 && !p.joined.some // without any item, nothing can be missing
	if !p.set.Until.IsZero() {
		end, err := p.value(ctx, "until", &p.set.Until, page, empty)
		if err != nil {
			return nil, err
		}
		if isTrue(end) {
			if !empty {
				p.last("until", &p.set.Until, page)
			}
			return nil, nil
		}
	}
	switch {
	case p.set.Cursor != nil:
		return p.byCursor(ctx, page, empty)
	case p.set.Link:
		if items > 0 && !p.joined.some && len(p.header.Values("Link")) == 0 {
			p.found.noLink()
		}
		return p.byURL(nextLink(p.header))
	case !p.set.NextURL.IsZero():
		address, _, err := p.text(ctx, "next_url", &p.set.NextURL, page, empty)
		if err != nil {
			return nil, err
		}
		return p.byURL(address)
	}
	if items == 0 {
		return nil, nil
	}
	if p.set.Page != nil {
		items = 1
	}
	p.number += items
	return p.byNumber(), nil
}

func (p *pager) byNumber() *pageStep {
	at := p.set.parameter()
	return &pageStep{param: at.Param, body: at.Body, value: strconv.Itoa(p.number), number: true}
}

// value returns what a setting selects from a page. empty is true if the pages so far have no items.
func (p *pager) value(ctx context.Context, setting string, s *selector, page document.Value, empty bool) (any, error) {
	if err := p.read(setting, s, page, empty); err != nil {
		return nil, err
	}
	v, err := s.from(ctx, page)
	if err != nil {
		return nil, fmt.Errorf("paginate.%s: %s", setting, p.excerpt(err.Error()))
	}
	return v, nil
}

// text returns the cursor or URL that a setting selects from a page, "" if there is none. A text that is a JSON number has the same digits.
func (p *pager) text(ctx context.Context, setting string, s *selector, page document.Value, empty bool) (string, bool, error) {
	v, err := p.value(ctx, setting, s, page, empty)
	if err != nil {
		return "", false, err
	}
	text, err := textOf(v)
	if err != nil {
		return "", false, fmt.Errorf("paginate.%s: %s", setting, p.excerpt(err.Error()))
	}
	if text == "" && !empty {
		p.last(setting, s, page)
	}
	_, isText := v.(string)
	return text, !isText, nil
}

// byCursor returns the step to the page of the cursor. empty is true if the pages so far have no items.
func (p *pager) byCursor(ctx context.Context, page document.Value, empty bool) (*pageStep, error) {
	var cursor string
	var number bool
	if name := p.set.Cursor.Header; name != "" {
		header := member{p.set, "cursor.header", name}
		switch cursor = p.header.Get(name); {
		case len(p.header.Values(name)) > 0:
			p.found.add(header)
		case !empty:
			p.found.warn(header, " in the response")
		}
	} else {
		var err error
		if cursor, number, err = p.text(ctx, "cursor.from", &p.set.Cursor.From, page, empty); err != nil {
			return nil, err
		}
	}
	switch {
	case cursor == "":
		return nil, nil
	case len(cursor) > maxCursor:
		return nil, fmt.Errorf("the cursor of the next page has %d bytes, more than %d", len(cursor), maxCursor)
	case !p.isNew([]byte(cursor)):
		return nil, errors.New("the cursor of the next page is that of an earlier page: set paginate.until to recognise the last page")
	}
	at := p.set.parameter()
	return &pageStep{param: at.Param, body: at.Body, value: cursor, number: number}, nil
}

// byURL returns the step to a URL that the API has sent. The URL must have the origin of the settings' URL, since credentials are
// sent to it.
func (p *pager) byURL(address string) (*pageStep, error) {
	if address == "" {
		return nil, nil
	}
	if len(address) > maxCursor {
		return nil, fmt.Errorf("the URL of the next page has %d bytes, more than %d", len(address), maxCursor)
	}
	relative, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the URL of the next page is not valid: does paginate.next_url select the right value?")
	}
	target := p.at.ResolveReference(relative)
	target.Fragment, target.RawFragment = "", ""
	if !httpclient.SameOrigin(&p.fetcher.set.URL.URL.URL, target) {
		origin := (&url.URL{Scheme: target.Scheme, Host: target.Host}).String()
		return nil, fmt.Errorf("the next page has another origin, %s: not fetched, since credentials would be sent there", p.excerpt(origin))
	}
	if !p.isNew([]byte(target.String())) {
		return nil, errors.New("the URL of the next page is that of an earlier page: set paginate.until to recognise the last page")
	}
	return &pageStep{url: target.String()}, nil
}

// isNew reports whether no page so far had the same cursor, URL or content.
func (p *pager) isNew(what []byte) bool {
	sum := maphash.Bytes(p.seed, what)
	old := p.seen[sum]
	p.seen[sum] = true
	return !old
}

// join adds a page. If pages are selected by number and two pages are equal, it returns an error: the API seems to ignore the number.
func (p *pager) join(doc *sources.Document, list document.Value) error {
	items, err := p.joined.add(doc, list)
	p.pageText = p.joined.text
	if err != nil {
		return err
	}
	if (p.set.Page != nil || p.set.Offset != nil) && len(items) > 0 && !p.isNew(items) {
		return fmt.Errorf("the page is the same as an earlier one: does the API use the parameter %s?", p.set.parameter())
	}
	return nil
}

// joinedPages joins pages to the JSON text of one document: the first page, with the items of all pages in its list. Nothing else of
// earlier pages is kept in memory.
type joinedPages struct {
	path []string // path of the list in a page
	max  int      // maximum size of the text, in bytes
	from string   // Document.From of the first page
	one  string   // Document.Single of the first page
	text []byte   // the document so far, up to the last item
	tail []byte   // the part of the first page after its list
	some bool     // text contains an item
}

// add adds a page and returns the JSON text of its items, which is valid until the next call.
func (j *joinedPages) add(doc *sources.Document, list document.Value) ([]byte, error) {
	if j.from == "" {
		j.from, j.one = doc.From, doc.Single
		gap := 0
		j.text = j.frame(j.text, doc.Root, j.path, &gap)
		j.tail = append(j.tail, j.text[gap:]...)
		j.text = j.text[:gap]
	}
	begin := len(j.text)
	for item := range list.Items {
		if j.some {
			j.text = append(j.text, ',')
		}
		j.some = true
		if j.text = item.AppendJSON(j.text, j.max); len(j.text)+len(j.tail) > j.max {
			return nil, fmt.Errorf("the pages together exceed max_body (%s): request less data, or raise it", setting.Bytes(j.max))
		}
	}
	items := j.text[begin:]
	if len(items) > 0 && items[0] == ',' {
		items = items[1:]
	}
	return items, nil
}

// frame appends a document in which the list at the path is empty, and sets *gap to the position at which the items of the list belong. If
// an object has several members with the same key, the gap is in the final one.
func (j *joinedPages) frame(into []byte, v document.Value, path []string, gap *int) []byte {
	if len(path) == 0 {
		*gap = len(into) + 1
		return append(into, "[]"...)
	}
	into = append(into, '{')
	comma := false
	for key, member := range v.Members {
		if comma {
			into = append(into, ',')
		}
		comma = true
		into = append(document.AppendQuoted(into, key), ':')
		if key == path[0] {
			into = j.frame(into, member, path[1:], gap)
		} else {
			into = member.AppendJSON(into, j.max)
		}
	}
	return append(into, '}')
}

// document completes and parses the joined text, which must not change while the document is in use.
func (j *joinedPages) document(parser *sources.Parser) (*sources.Document, error) {
	j.text = append(j.text, j.tail...)
	doc, err := parser.JSON(j.from, j.text)
	if err != nil {
		return nil, fmt.Errorf("%s: the pages together: %w", j.from, err)
	}
	doc.Single = j.one
	return doc, nil
}
