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

// Paginate says how to go from a page to the next, by one of five ways. The document is then the first page's, with the
// items of all pages in its list: rules are the same for one page and for many.
type Paginate struct {
	Page    *PageNumber `yaml:"page"`
	Offset  *Offset     `yaml:"offset"`
	Cursor  *Cursor     `yaml:"cursor"`
	Link    bool        `yaml:"link"`     // the response's Link header with rel=next (RFC 8288)
	NextURL pick        `yaml:"next_url"` // the next page's address, taken from the page

	Items    listPath `yaml:"items"`     // where the list stands in a page
	Until    pick     `yaml:"until"`     // true of the last page, beside each way's own end
	MaxPages int      `yaml:"max_pages"` // more fail the tick; 0 = 100
}

// Place is where in a request stands which page is asked for: a parameter of the query, or a place in a JSON body, which is
// as the settings have it in a request that needs none.
type Place struct {
	Param string    `yaml:"param"`
	Body  bodyPlace `yaml:"body"`
}

// String is the place for messages.
func (p Place) String() string {
	if p.Body != nil {
		return p.Body.String()
	}
	return p.Param
}

// PageNumber counts pages. A page without items is the last: a short one may be short for another reason.
type PageNumber struct {
	Place `yaml:",inline"`
	Start *int `yaml:"start"` // nil = 1
}

// Offset counts the items so far. A page without items is the last.
type Offset struct {
	Place `yaml:",inline"`
}

// Cursor takes from each page a text or number that asks for the next. Where there is none, the page is the last.
type Cursor struct {
	From   pick   `yaml:"from"`
	Header string `yaml:"header"` // of the response, in place of From
	Place  `yaml:",inline"`
}

const (
	defaultMaxPages = 100
	maxMaxPages     = 100_000
	maxCursor       = 8 << 10 // bytes of a cursor or of the next page's address, as much as servers take of a request line
)

func (p *Paginate) maxPages() int { return cmp.Or(p.MaxPages, defaultMaxPages) }

// place is where in a request stands which page it asks for; the zero value where that is its address.
func (p *Paginate) place() Place {
	switch {
	case p.Page != nil:
		return p.Page.Place
	case p.Offset != nil:
		return p.Offset.Place
	case p.Cursor != nil:
		return p.Cursor.Place
	}
	return Place{}
}

func (p *Paginate) validate(c *Config) error {
	var problems []error
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Bad(path, format, args...))
	}
	ways := p.ways()
	switch {
	case len(ways) == 0:
		bad("", "names no way to the next page: add page, offset, cursor, link or next_url")
	case len(ways) > 1:
		bad(ways[1], "cannot stand beside %s: there is one way to the next page", ways[0])
	case !p.Link && p.NextURL.IsZero():
		problems = append(problems, setting.Under(ways[0], p.place().validate(c, ways[0])))
	}
	if len(ways) == 1 && (p.Link || !p.NextURL.IsZero()) && c.Method != http.MethodGet {
		bad(ways[0], "the next page is asked for by GET: set method to GET")
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

func (p Place) validate(c *Config, way string) error {
	switch {
	case p.Param == "" && p.Body == nil:
		return setting.Bad("param", "is needed: the query's parameter, such as %s; or body, a place in the body such as .%s", way, way)
	case p.Param != "" && p.Body != nil:
		return setting.Bad("body", "cannot stand beside param")
	case p.Param != "" && (c.URL.Query().Has(p.Param) || c.Query[p.Param] != ""):
		return setting.Bad("param", "%s stands in the query too: leave it out there", p.Param)
	case p.Body != nil && c.Method != http.MethodPost:
		return setting.Bad("body", "a GET has no body: set method to POST, or give param in place of body")
	}
	texts, err := c.texts()
	if p.Body == nil || err != nil || texts.body.namesItem() {
		return nil
	}
	text, err := texts.body.fill(sources.Tick{Time: time.Unix(0, 0), Start: time.Unix(0, 0), End: time.Unix(0, 0)}, nil, asIs)
	if err == nil {
		_, err = p.Body.put(text, "0")
	}
	if err != nil {
		return setting.Bad("body", "the request's body is to hold the page: %v", err)
	}
	return nil
}

// ways are the names of those that are set.
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
		return setting.Bad("", "wants from, the cursor's place in a page such as .next_cursor, or header")
	case !c.From.IsZero() && c.Header != "":
		return setting.Bad("header", "cannot stand beside from")
	case c.Header != "" && !httpclient.IsToken(c.Header):
		return setting.Bad("header", "not a header's name: want letters, digits and hyphens")
	}
	return nil
}
