package http

import (
	"cmp"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/pattern"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources"
)

// Limits for messages that name the members of a page, which may be many and long.
const (
	maxNamed  = 8  // number of members
	maxMember = 40 // length of a name in bytes
)

// foundMembers remembers which of the members that paging reads have been in any page. Many APIs leave out the cursor on the last page. If
// a member has never been there, the path may as well be wrong, and then only first pages are counted. All fetchers of a job share it.
type foundMembers struct {
	log  *slog.Logger
	show func(section, line string) // Env.Show

	mu       sync.Mutex
	found    map[member]bool
	warned   map[member]bool
	unlinked bool // noLink was called
}

// member is what a setting of paging reads: a path, or the name of a header.
type member struct {
	of            *Paginate
	setting, name string
}

func newFoundMembers(env *sources.Env) *foundMembers {
	log, show := env.Log, env.Show
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if show == nil {
		show = func(string, string) {}
	}
	return &foundMembers{log: log, show: show, found: map[member]bool{}, warned: map[member]bool{}}
}

// add remembers that a page has the member.
func (f *foundMembers) add(m member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.found[m] = true
}

// warn logs once that a member has never been in a page, unless it has been. advice says what there is instead.
func (f *foundMembers) warn(m member, advice string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.found[m] && !f.warned[m] {
		f.warned[m] = true
		f.log.Warn("no page so far has what shows whether there is a next page: perhaps only the first page is counted",
			"reason", "paginate."+m.setting+": "+m.name+" is missing"+advice)
	}
}

// noLink tells cton try that a first page with items came without a Link header. It is no warning, since many APIs send none with the only
// page, and the name of the header cannot be wrong.
func (f *foundMembers) noLink() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unlinked {
		return
	}
	f.unlinked = true
	f.show("pages", "the response has no header Link (paginate.link), so this page is taken for the only one")
}

// read remembers which members a selector finds in a page. If the page lacks one that the selector compares or calculates with, it returns
// an error: null would give a wrong result. If the pages so far have no items (empty), nothing is lost by a wrong result, and many APIs
// leave out such members then.
func (p *pager) read(setting string, s *selector, page document.Value, empty bool) error {
	for _, r := range s.reads {
		there := has(page, r.Path)
		if there {
			p.found.add(member{p.set, setting, pathText(r.Path)})
		}
		if !r.Needed || empty {
			continue
		}
		if v, err := follow(page, r.Path); err != nil || v.Kind() != document.Null {
			continue
		}
		problem := "is null in the page, so the last page cannot be told; for what holds then write (" + pathText(r.Path) + " // VALUE)"
		if !there {
			problem = "is missing in the page, so the last page cannot be told" + p.instead(page, r.Path) +
				"; if the API leaves it out when it is 0, write (" + pathText(r.Path) + " // 0)"
		}
		return fmt.Errorf("paginate.%s: %s %s", setting, pathText(r.Path), problem)
	}
	return nil
}

// last warns of members that no page has had. It is called if the page is the last one by what a selector gives.
func (p *pager) last(setting string, s *selector, page document.Value) {
	for _, r := range s.reads {
		name := pathText(r.Path)
		p.found.warn(member{p.set, setting, name}, p.instead(page, r.Path)+
			fmt.Sprintf("; if the API leaves it out when there is one page, write (%s // null)", name))
	}
}

// instead returns a text that says what a page has in place of a missing member. It begins with a semicolon.
func (p *pager) instead(page document.Value, path []string) string {
	at := ""
	for _, name := range path {
		next := page.Get(name)
		switch {
		case page.Kind() != document.Object:
			return fmt.Sprintf("; %s is %s", cmp.Or(at, "."), page.Kind())
		case next == (document.Value{}):
			var names []string
			for key := range page.Members {
				names = append(names, text.Cut(key, maxMember))
			}
			if len(names) == 0 {
				return fmt.Sprintf("; %s is empty", cmp.Or(at, "."))
			}
			return p.host.Secrets.Scrub(fmt.Sprintf("; at %s there are %s", cmp.Or(at, "."), text.List(names, maxNamed)))
		}
		page, at = next, at+pathText([]string{name})
	}
	return ""
}

var plainName = pattern.OnUse(`^[A-Za-z_][A-Za-z0-9_]*$`)

// pathText returns a path as it is written in jq.
func pathText(path []string) string {
	var b strings.Builder
	for _, name := range path {
		if !plainName().MatchString(name) {
			name = strconv.Quote(name)
		}
		b.WriteString("." + name)
	}
	return b.String()
}
