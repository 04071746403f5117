package http

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// Paginate is the settings for fetching all pages, in one of five ways. The document is the first page with the items of all pages in
// its list. So expressions are the same for one page and for many pages.
type Paginate struct {
	Page    *PageNumber `yaml:"page"`
	Offset  *Offset     `yaml:"offset"`
	Cursor  *Cursor     `yaml:"cursor"`
	Link    bool        `yaml:"link"`     // the Link header with rel=next has the URL of the next page (RFC 8288)
	NextURL selector    `yaml:"next_url"` // selects the URL of the next page from a page

	Items    listPath `yaml:"items"`     // path of the list in a page
	Until    selector `yaml:"until"`     // gives true for the last page; if it is not set, the chosen way of paging detects the last page
	MaxPages int      `yaml:"max_pages"` // maximum number of pages; with more pages the tick fails; 0 = 100
}

// PageParameter is the part of a request that selects the page: a query parameter or a path in the JSON body. With a cursor, the
// request for the first page does not set it.
type PageParameter struct {
	Param string   `yaml:"param"`
	Body  bodyPath `yaml:"body"`
}

// String returns the query parameter or the path, for errors.
func (p PageParameter) String() string {
	if p.Body != nil {
		return p.Body.String()
	}
	return p.Param
}

// PageNumber selects pages by number. Pages are fetched until one has no items: a page with few items is not always the last one.
type PageNumber struct {
	PageParameter `yaml:",inline"`
	Start         *int `yaml:"start"` // nil = 1
}

// Offset selects pages by the number of items before the page. Pages are fetched until one has no items.
type Offset struct {
	PageParameter `yaml:",inline"`
}

// Cursor selects from each page a string or number (the cursor), which is sent to request the next page. A page without a cursor is the
// last one.
type Cursor struct {
	From          selector `yaml:"from"`
	Header        string   `yaml:"header"` // response header that contains the cursor, in place of From
	PageParameter `yaml:",inline"`
}

const (
	defaultMaxPages = 100
	maxMaxPages     = 100_000
	maxCursor       = 8 << 10 // maximum length of a cursor or of the next page's URL, in bytes: servers refuse longer request lines
)

func (p *Paginate) maxPages() int { return cmp.Or(p.MaxPages, defaultMaxPages) }

// parameter returns the part of a request that selects the page; the zero value if pages are selected by URL.
func (p *Paginate) parameter() PageParameter {
	switch {
	case p.Page != nil:
		return p.Page.PageParameter
	case p.Offset != nil:
		return p.Offset.PageParameter
	case p.Cursor != nil:
		return p.Cursor.PageParameter
	}
	return PageParameter{}
}

func (p *Paginate) validate(c *Config) error {
	var problems []error
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Errorf(path, format, args...))
	}
	ways := p.ways()
	switch {
	case len(ways) == 0:
		bad("", "set one of page, offset, cursor, link and next_url")
	case len(ways) > 1:
		bad(ways[1], "%s is set too: set only one way to the next page", ways[0])
	case !p.Link && p.NextURL.IsZero():
		problems = append(problems, setting.Under(ways[0], p.parameter().validate(c, ways[0])))
	}
	if len(ways) == 1 && (p.Link || !p.NextURL.IsZero()) && c.method() != http.MethodGet {
		bad(ways[0], "is only valid with method: GET")
	}
	if p.Page != nil && p.Page.Start != nil && *p.Page.Start < 0 {
		bad("page.start", "want 0 or more")
	}
	if p.Cursor != nil {
		problems = append(problems, setting.Under("cursor", p.Cursor.validate()))
	}
	if p.MaxPages < 0 || p.MaxPages > maxMaxPages {
		bad("max_pages", "want 1 to %d", maxMaxPages)
	}
	return setting.Under("paginate", errors.Join(problems...))
}

func (p PageParameter) validate(c *Config, way string) error {
	switch {
	case p.Param == "" && p.Body == nil:
		return setting.Errorf("param", "is required: the query parameter, such as %s; or set body, a path in the body such as .%s", way, way)
	case p.Param != "" && p.Body != nil:
		return setting.Errorf("body", "param is set too: set only one of them")
	case p.Param != "" && (c.URL.Query().Has(p.Param) || c.Query[p.Param] != ""):
		return setting.Errorf("param", "%s is set in the query too: leave it out there", p.Param)
	case p.Body != nil && c.Body == "":
		return setting.Errorf("body", "the request has no body: set it, or set param instead of body")
	}
	templates, err := c.templates()
	if p.Body == nil || err != nil || templates.body.namesItem() {
		return nil
	}
	tick := sources.Tick{Time: time.Unix(0, 0), Start: time.Unix(0, 0), End: time.Unix(0, 0)}
	text, err := templates.body.execute(tick, nil, anySecrets(), time.Now(), templates.escape)
	if err == nil {
		_, err = p.Body.set(text, "0")
	}
	if err != nil {
		return setting.Errorf("body", "cannot be set in the request's body: %v", err)
	}
	return nil
}

// ways returns the names of the ways of paging that are set.
func (p *Paginate) ways() []string {
	var names []string
	for _, way := range []struct {
		name string
		set  bool
	}{
		{"page", p.Page != nil}, {"offset", p.Offset != nil}, {"cursor", p.Cursor != nil}, {"link", p.Link}, {"next_url", !p.NextURL.IsZero()},
	} {
		if way.set {
			names = append(names, way.name)
		}
	}
	return names
}

func (c *Cursor) validate() error {
	switch {
	case c.From.IsZero() && c.Header == "":
		return setting.Errorf("", "set from, the path of the cursor in a page such as .next_cursor, or header")
	case !c.From.IsZero() && c.Header != "":
		return setting.Errorf("header", "from is set too: set only one of them")
	case c.Header != "" && !httpclient.IsToken(c.Header):
		return setting.Errorf("header", "not a valid header name: use letters, digits and hyphens")
	}
	return nil
}
