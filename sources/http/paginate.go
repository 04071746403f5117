package http

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/web"
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

// PageNumber counts pages. A page without items is the last: a short one may be short for another reason.
type PageNumber struct {
	Param string `yaml:"param"`
	Start *int   `yaml:"start"` // nil = 1
}

// Offset counts the items so far. A page without items is the last.
type Offset struct {
	Param string `yaml:"param"`
}

// Cursor takes from each page a text or number that asks for the next. Where there is none, the page is the last.
type Cursor struct {
	From   pick   `yaml:"from"`
	Header string `yaml:"header"` // of the response, in place of From
	Param  string `yaml:"param"`
}

const (
	defaultMaxPages = 100
	maxMaxPages     = 100_000
	maxCursor       = 8 << 10 // bytes of a cursor or of the next page's address, as much as servers take of a request line
)

func (p *Paginate) maxPages() int { return cmp.Or(p.MaxPages, defaultMaxPages) }

// param is the query's parameter that chooses the page, if one does.
func (p *Paginate) param() string {
	switch {
	case p.Page != nil:
		return p.Page.Param
	case p.Offset != nil:
		return p.Offset.Param
	case p.Cursor != nil:
		return p.Cursor.Param
	}
	return ""
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
	case p.param() == "" && !p.Link && p.NextURL.IsZero():
		bad(ways[0]+".param", "is needed: the query's parameter, such as %s", ways[0])
	}
	if param := p.param(); param != "" && (c.URL.Query().Has(param) || c.Query[param] != "") {
		bad(ways[0]+".param", "%s stands in the query too: leave it out there", param)
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
	case c.Header != "" && !web.IsToken(c.Header):
		return setting.Bad("header", "not a header's name: want letters, digits and hyphens")
	}
	return nil
}
