package infer

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/pattern"
)

// Pages describes how to request the further pages of an answer.
type Pages struct {
	Paginate string // value of the setting paginate, as one line of YAML
	Without  string // parameter of the URL that the setting replaces; "" if there is none
	Why      string // which part of the answer shows it
	Guess    bool   // nothing in the answer shows that the API knows the parameter
}

// field is a plain value of a document that is not in a list.
type field struct {
	path  string
	keys  []string
	name  string // last key as an identifier
	value document.Value
}

// plainFields returns the plain values of a document that are not in a list, those at the top level first.
func plainFields(root document.Value) []field {
	var out []field
	type place struct {
		keys []string
		v    document.Value
	}
	queue := []place{{nil, root}}
	for len(queue) > 0 && len(out) < maxMembers {
		at := queue[0]
		queue = queue[1:]
		for key, v := range at.v.Members {
			keys := append(slices.Clone(at.keys), strings.Clone(key))
			switch {
			case v.Kind() == document.Object && len(keys) < maxFields && len(queue) < maxMembers:
				queue = append(queue, place{keys, v})
			case v.Kind() != document.Array && v.Kind() != document.Object:
				out = append(out, field{pathOf("", keys), keys, join(key), v})
			}
		}
	}
	return out
}

// mainList returns the path of the longest list of objects, or "" if there is none.
func mainList(root document.Value) (path string, keys []string, items int) {
	type place struct {
		keys []string
		v    document.Value
	}
	if root.Kind() == document.Array {
		return ".", nil, root.Len()
	}
	best := -1
	queue := []place{{nil, root}}
	for seen := 0; len(queue) > 0 && seen < maxMembers; seen++ {
		at := queue[0]
		queue = queue[1:]
		for key, v := range at.v.Members {
			next := append(slices.Clone(at.keys), strings.Clone(key))
			switch v.Kind() {
			case document.Object:
				if len(next) < maxFields {
					queue = append(queue, place{next, v})
				}
			case document.Array:
				n, objects := 0, 0
				for item := range v.Items {
					n++
					if item.Kind() == document.Object {
						objects++
					}
				}
				if n == objects && n > best {
					best, path, keys, items = n, pathOf("", next), next, n
				}
			}
		}
	}
	return path, keys, items
}

// WaysToPages returns the possible ways to request the next page. The most certain way comes first.
func WaysToPages(address *url.URL, header http.Header, body string, root document.Value) []Pages {
	list, keys, items := mainList(root)
	if list == "" {
		return nil
	}
	if root.Kind() == document.Array {
		list = "."
	}
	w := &ways{address: address, header: header, list: list, keys: keys, items: items, body: body, fields: plainFields(root), root: root}
	if address == nil {
		return nil
	}
	w.link()
	w.nextURL()
	w.cursors()
	w.numbers()
	return w.found
}

// ways collects the possible ways to request the next page.
type ways struct {
	address *url.URL
	header  http.Header
	list    string
	keys    []string
	items   int
	body    string
	fields  []field
	root    document.Value
	found   []Pages
}

// add adds a way. It also sets the path of the list on a page.
func (w *ways) add(p Pages) {
	if w.list != "." {
		p.Paginate += ", items: " + yamlText(w.list)
	}
	p.Paginate = "{" + p.Paginate + "}"
	w.found = append(w.found, p)
}

var relation = pattern.OnUse(`(?i)rel="?(next|prev|previous|last|first)\b`)

func (w *ways) link() {
	for _, value := range w.header.Values("Link") {
		if relation().MatchString(value) {
			w.add(Pages{Paginate: "link: true", Why: "the header Link"})
			return
		}
	}
}

// get returns the first field that has one of the names, or nil if there is none.
func (w *ways) get(names ...string) *field {
	for _, name := range names {
		for i, f := range w.fields {
			if f.name == name && !slices.Contains(f.keys, "query") {
				return &w.fields[i]
			}
		}
	}
	return nil
}

func (w *ways) nextURL() {
	for i, f := range w.fields {
		parent := ""
		if len(f.keys) > 1 {
			parent = join(f.keys[len(f.keys)-2])
		}
		named := has([]string{f.name}, "next", "next_url", "next_link", "next_page_url", "nextpage_url", "odata_next_link", "next_page", "next_href", "next_page_link") || f.name == "href" && parent == "next" || f.name == "url" && parent == "next"
		if !named {
			continue
		}
		text := f.value.Text()
		isURL := f.value.Kind() == document.String && (strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "/") || strings.HasPrefix(text, "?"))
		onlyPage := f.value.Kind() == document.Null && (w.get("previous", "prev", "previous_url", "prev_page_url", "previous_page_url") != nil || parent == "links")
		if isURL || onlyPage && f.name != "next_page" {
			w.add(Pages{Paginate: "next_url: " + yamlText(w.fields[i].path), Why: f.path})
			return
		}
	}
}

// cursors finds the cursor of the next page and the parameter to send it in.
func (w *ways) cursors() {
	w.cursorHeaders()
	if w.graphQL() {
		return
	}
	for _, known := range [][]string{
		// In each list, the name of the field comes first. Then come the parameters in which its value can be sent, the most common one
		// first.
		{"next_cursor", "cursor", "starting_after", "after"},
		{"nextcursor", "cursor"},
		{"next_page_token", "pageToken", "page_token"},
		{"next_token", "next_token", "pagination_token", "nextToken"},
		{"continuation_token", "continuationToken", "continuation_token"},
		{"continuation", "continuation"},
		{"continue", "continue"},
		{"end_cursor", "after", "cursor"},
		{"after", "after"},
		{"cursor", "cursor"},
		{"scroll_id", "scroll_id"},
		{"next_marker", "marker"},
		{"marker", "marker"},
		{"next_page_cursor", "cursor"},
		{"next", "cursor", "after", "page", "next"},
	} {
		f := w.get(known[0])
		if f == nil || f.value.Kind() != document.String && f.value.Kind() != document.Number {
			continue
		}
		text := f.value.Text()
		if text == "" || strings.Contains(text, "://") || strings.HasPrefix(text, "/") || len(f.keys) > 1 && !around(f.keys) && len(f.keys) > len(w.keys) {
			continue
		}
		if known[0] == "continue" && !strings.Contains(f.path, "metadata") && len(text) < 8 {
			continue
		}
		usual := known[1]
		if last := f.keys[len(f.keys)-1]; last == "next_page_token" {
			usual = "page_token"
		} else if last == "nextToken" {
			usual = "nextToken"
		}
		from := f.path
		if more := w.get("has_more", "has_next", "has_next_page", "more"); more != nil && more.value.Kind() == document.True {
			from += " | select(" + more.path + ")"
			from = strings.Replace(from, f.path+" | select(", "select("+more.path+") | "+f.path+"\x00", 1)
			from, _, _ = strings.Cut(from, "\x00")
		} else if known[0] == "continue" || known[0] == "next_page_token" { // Kubernetes and Google leave it out when there is one page
			from += " // null"
		}
		w.add(Pages{Paginate: "cursor: {from: " + yamlText(from) + ", param: " + w.parameter(usual, known[1:]...) + "}", Why: f.path, Guess: true})
		return
	}
	if more := w.get("has_more"); more != nil && w.list != "." && more.value.Kind() == document.True && w.lastID() != "" {
		w.add(Pages{
			Paginate: "cursor: {from: " + yamlText("select("+more.path+") | "+w.list+"[-1]"+w.lastID()) + ", param: " + w.parameter("starting_after", "starting_after", "after") + "}",
			Why:      more.path + " and the last id", Guess: true,
		})
	}
}

// cursorHeaders finds the cursor of the next page in a header.
func (w *ways) cursorHeaders() {
	if name := w.header.Get("X-Next-Page"); name != "" || w.header["X-Next-Page"] != nil {
		w.add(Pages{Paginate: "cursor: {header: X-Next-Page, param: page}", Without: "page", Why: "the header X-Next-Page"})
	}
	for _, name := range []string{"X-Next-Cursor", "X-Cursor-Next", "X-Next-Token", "X-Continuation-Token", "X-Ms-Continuation"} {
		if w.header.Get(name) != "" {
			w.add(Pages{Paginate: "cursor: {header: " + name + ", param: " + w.parameter("cursor", "cursor", "after", "token") + "}", Why: "the header " + name})
		}
	}
}

// around returns true if all keys except the final one are usual names of objects that contain a cursor or the address of the next page.
func around(keys []string) bool {
	for _, key := range keys[:len(keys)-1] {
		if !has(words(key), "meta", "metadata", "pagination", "paging", "page", "cursor", "cursors", "response", "links", "info", "data") {
			return false
		}
	}
	return true
}

// lastID returns the path of the id in an item of the list, or "" if the items have none.
func (w *ways) lastID() string {
	for item := range follow(w.root, w.keys).Items {
		if item.Get("id").Kind() == document.String {
			return ".id"
		}
		return ""
	}
	return ""
}

// parameter returns the first of the known names that the URL already has as a parameter. If there is none, it returns the name in the
// argument "usual".
func (w *ways) parameter(usual string, known ...string) string {
	for _, name := range known {
		if w.address.Query().Has(name) {
			return yamlText(name)
		}
	}
	return yamlText(usual)
}

var afterVariable = pattern.OnUse(`\bafter\s*:\s*\$([A-Za-z_][A-Za-z0-9_]*)`)

// graphQL finds the cursor of a GraphQL connection, and the variable of the query that receives it. It returns false if the
// request is not such a query.
func (w *ways) graphQL() bool {
	end, more := w.get("end_cursor"), w.get("has_next_page")
	if end == nil || more == nil || w.body == "" {
		return false
	}
	variable := afterVariable().FindStringSubmatch(w.body)
	if variable == nil {
		return true // the query has no variable for the cursor, so the next page cannot be requested
	}
	info := pathOf("", end.keys[:len(end.keys)-1])
	from := info + " | select(." + more.keys[len(more.keys)-1] + ")." + end.keys[len(end.keys)-1]
	w.add(Pages{Paginate: "cursor: {from: " + yamlText(from) + ", body: .variables." + variable[1] + "}", Why: end.path})
	return true
}

// number returns the value of a field as an integer that is not negative. It returns false if the value is anything else.
func (f *field) number() (int, bool) {
	if f == nil || f.value.Kind() != document.Number && f.value.Kind() != document.String {
		return 0, false
	}
	n, err := strconv.Atoi(f.value.Text())
	return n, err == nil && n >= 0
}

// numbers finds page numbers and offsets.
func (w *ways) numbers() {
	page := w.get("current_page", "page", "page_number", "number", "current", "pagenum", "page_no", "page_index")
	pages := w.get("total_pages", "last_page", "pages", "page_count", "num_pages", "pages_count", "max_page", "total_page")
	total := w.get("total", "total_count", "total_results", "total_items", "total_elements", "total_records", "count", "totalcount", "totalresults", "found", "num_found", "size")
	at, isPage := page.number()
	last, known := pages.number()
	start := 1
	if isPage && at == 0 {
		start = 0
	}
	if isPage && known && (last > 1 || w.address.Query().Has("page")) {
		name := w.parameter(page.keys[len(page.keys)-1], "page", "pageNumber", "page_number", "p", "pageNo", "pg")
		if has([]string{page.name}, "current_page", "number", "current") && !w.address.Query().Has(page.keys[len(page.keys)-1]) {
			name = w.parameter("page", "page", "pageNumber", "page_number", "p")
		}
		until := page.path + " >= " + pages.path
		if start == 0 {
			until = page.path + " + 1 >= " + pages.path
		}
		w.add(Pages{Paginate: w.page(name, start) + ", until: " + yamlText(until), Without: strings.Trim(name, `"`), Why: page.path + " of " + pages.path})
		return
	}
	if n, err := strconv.Atoi(w.header.Get("X-Total-Pages")); err == nil && n > 1 {
		w.add(Pages{Paginate: w.page(w.parameter("page", "page"), 1), Without: "page", Why: "the header X-Total-Pages"})
		return
	}
	offset := w.get("offset", "start_at", "skip", "start", "start_index", "from")
	from, isOffset := offset.number()
	all, counted := total.number()
	if !counted {
		n, err := strconv.Atoi(first(w.header.Get("X-Total-Count"), w.header.Get("X-Total")))
		all, counted = n, err == nil
		total = nil
	}
	if !counted || all <= w.items || w.items == 0 {
		if !isOffset || from != 0 || counted {
			return
		}
	}
	if isOffset && from == 0 {
		name := w.parameter(offset.keys[len(offset.keys)-1], "offset", "startAt", "skip", "start")
		w.add(w.byOffset(name, offset.path, total))
	}
	w.guess(total)
}

// byOffset returns the way that requests a page by the number of items before it.
func (w *ways) byOffset(name, offset string, total *field) Pages {
	p := Pages{Paginate: "offset: {param: " + name + "}", Without: strings.Trim(name, `"`), Why: offset}
	if total != nil && w.list != "." {
		p.Paginate += ", until: " + yamlText(offset+" + ("+w.list+" | length) >= "+total.path)
	}
	return p
}

func (w *ways) page(name string, start int) string {
	if start == 1 {
		return "page: {param: " + name + "}"
	}
	return "page: {param: " + name + ", start: " + strconv.Itoa(start) + "}"
}

// guess proposes common parameters. It is used if the answer has fewer items than the API says there are.
func (w *ways) guess(total *field) {
	why := "there are more items than those of the answer"
	if total != nil {
		why = total.path + " is more than the items of the answer"
	}
	query := w.address.Query()
	for _, name := range []string{"page", "pageNumber", "p", "offset", "skip", "startAt"} {
		if !query.Has(name) {
			continue
		}
		if name == "offset" || name == "skip" || name == "startAt" {
			w.add(Pages{Paginate: "offset: {param: " + name + "}", Without: name, Why: why, Guess: true})
		} else {
			n, _ := strconv.Atoi(query.Get(name))
			w.add(Pages{Paginate: w.page(name, min(n, 1)), Without: name, Why: why, Guess: true})
		}
		return
	}
	w.add(Pages{Paginate: "page: {param: page}", Why: why, Guess: true})
	w.add(Pages{Paginate: "offset: {param: offset}", Why: why, Guess: true})
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
