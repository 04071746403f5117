package http

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/httpclient"
)

// step leads to a page. The zero value leads to the first.
type step struct {
	url    string    // "" = the settings'
	param  string    // where in the query the value belongs; "" = nowhere
	body   bodyPlace // where in the body; nil = nowhere
	value  string
	number bool // the value is one
}

// inBody is the value as JSON.
func (s *step) inBody() string {
	if s.number {
		return s.value
	}
	return string(document.AppendQuoted(nil, s.value))
}

// begin leads to the first page. A cursor has none to begin with.
func (p *pager) begin() step {
	if p.set.Page != nil || p.set.Offset != nil {
		return *p.byNumber()
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
	return p.byNumber(), nil
}

func (p *pager) byNumber() *step {
	at := p.set.place()
	return &step{param: at.Param, body: at.Body, value: strconv.Itoa(p.number), number: true}
}

func (p *pager) byCursor(ctx context.Context, page document.Value) (*step, error) {
	cursor, number := p.header.Get(p.set.Cursor.Header), false
	if p.set.Cursor.Header == "" {
		found, err := p.set.Cursor.From.from(ctx, page)
		if err == nil {
			cursor, err = textOf(found)
		}
		if err != nil {
			return nil, fmt.Errorf("paginate.cursor.from: %s", p.shown(err.Error()))
		}
		_, text := found.(string)
		number = !text
	}
	switch {
	case cursor == "":
		return nil, nil
	case len(cursor) > maxCursor:
		return nil, fmt.Errorf("the next page's cursor has %d bytes, more than %d", len(cursor), maxCursor)
	case !p.isNew([]byte(cursor)):
		return nil, errors.New("the next page's cursor is that of an earlier page: say by paginate.until which page is the last")
	}
	at := p.set.place()
	return &step{param: at.Param, body: at.Body, value: cursor, number: number}, nil
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
	if !httpclient.SameOrigin(&p.fetcher.set.URL.URL, target) {
		origin := (&url.URL{Scheme: target.Scheme, Host: target.Host}).String()
		return nil, fmt.Errorf("the next page is elsewhere, at %s: refused, credentials would follow", p.shown(origin))
	}
	if !p.isNew([]byte(target.String())) {
		return nil, errors.New("the next page's address is that of an earlier page")
	}
	return &step{url: target.String()}, nil
}
