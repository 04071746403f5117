package infer

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/pattern"
)

// frame is either the document itself, which counts as one item, or a list in the document. The readings of a metric come from the items
// of one frame.
type frame struct {
	noun    string   // name of one item, in the singular; "" for the document
	keys    []string // keys of the list in the document
	items   string   // jq expression of the items; "" for the document
	list    string   // jq expression of the whole list, to compute its length; "" if there is none
	self    string   // jq path from a result of the expression in "items" to the list's item; "" = the result is the item
	outer   *frame   // frame whose items contain this list; nil for the document and for lists directly in it
	at      string   // jq path from a result of the expression in "items" to the outer frame's item
	depth   int
	columns []*column
	subs    []*frame
	each    func(root document.Value, yield func(*row) bool)

	elem      *node    // schema of an item
	header    int      // number of rows with names before the rows with values
	empty     bool     // the list had no items, so nothing is known about them
	truncated int      // number of lists and fields that were not examined
	by        string   // what the keys of the list are, if the list's own key says so, such as "status" for by_status
	outerOf   []string // by row: a text that identifies the outer item
	n         int      // number of items in the last answer
}

// row is an item of a frame.
type row struct {
	v     document.Value
	key   string             // for an object whose keys are names: the key
	cells [][]document.Value // for parallel lists: the values of each list
	at    int
	outer *row
}

// cell is one value of a column.
type cell struct {
	kind document.Kind
	text string
}

func cellOf(v document.Value) cell {
	switch k := v.Kind(); k {
	case document.Null, document.Array, document.Object:
		return cell{kind: k}
	default:
		return cell{k, strings.Clone(clip(v.Text()))}
	}
}

// follow returns the value at a path of keys.
func follow(v document.Value, keys []string) document.Value {
	for _, key := range keys {
		v = v.Get(key)
	}
	return v
}

// pathOf returns the jq path that follows keys from base.
func pathOf(base string, keys []string) string {
	for _, key := range keys {
		base = member(base, key)
	}
	return base
}

// Limits for frames.
const (
	maxFrames  = 40
	maxColumns = 150 // for one frame
	maxFields  = 6   // how many levels deep fields of objects are searched
)

// finder finds the frames of a document.
type finder struct {
	frames int
	job    string // what one document is about, in the singular
}

// documentFrame returns the frame of the whole document, including all frames below it.
func (d *finder) documentFrame(root *node) *frame {
	f := &frame{elem: root, each: func(root document.Value, yield func(*row) bool) { yield(&row{v: root}) }}
	d.fields(f, root, nil)
	return f
}

// fields adds the columns and lists of a value to a frame.
func (d *finder) fields(f *frame, n *node, keys []string) {
	kind, one := n.kind()
	switch {
	case kind == document.Array && one && isPair(n):
		for i := range n.most {
			path := cmp.Or(pathOf(f.self, keys), ".") + "[" + strconv.Itoa(i) + "]"
			key := []string{"time", "value"}[i]
			f.add(&column{keys: append(slices.Clone(keys), key), path: path, cell: func(r *row) cell { return cellOf(item(follow(r.v, keys), i)) }})
		}
	case kind == document.Array && one && f.items != "" && n.elem != nil && n.least == 1 && n.most == 1 && n.kinds[document.Null] == 0 && n.elem.is(document.String):
		f.add(&column{keys: append(slices.Clone(keys[:len(keys)-1]), singular(keys[len(keys)-1])), path: pathOf(f.self, keys) + "[0]", cell: func(r *row) cell { return cellOf(item(follow(r.v, keys), 0)) }})
	case kind == document.Object && one && n.names, kind == document.Array && one:
		d.sub(f, n, keys)
	case kind == document.Object && one:
		d.object(f, n, keys)
	case kind == document.Object || kind == document.Array:
		f.truncated++ // values of several kinds
	default:
		f.add(&column{keys: slices.Clone(keys), top: f.items == "", path: cmp.Or(pathOf(f.self, keys), "."), cell: func(r *row) cell { return cellOf(follow(r.v, keys)) }})
	}
}

// isPair reports whether a list is a time and a number written as a text, like a sample in Prometheus' API.
func isPair(n *node) bool {
	return n.elem != nil && n.least == 2 && n.most == 2 && n.elem.kinds[document.Number] > 0 && n.elem.kinds[document.Number] == n.elem.kinds[document.String] && n.elem.kinds[document.Number]*2 == n.elem.seen
}

// object adds the columns and lists of the members of an object.
func (d *finder) object(f *frame, n *node, keys []string) {
	if len(keys) >= maxFields {
		f.truncated++
		return
	}
	side := sideBySide(n)
	if len(side) > 0 && d.room(f) && f.outer == nil && f.items == "" {
		d.parallel(f, side, keys)
	}
	for _, m := range n.members {
		if !slices.Contains(side, m) && !isNoise(m.key) {
			d.fields(f, m, append(slices.Clone(keys), m.key))
		}
	}
}

// isNoise reports whether a member with this key never contains anything to measure.
func isNoise(key string) bool {
	return has([]string{strings.ToLower(key)}, "_links", "links", "annotations", "managedfields", "@context", "$schema", "geometry", "coordinates", "_meta", "bbox", "href", "self")
}

func (f *frame) add(c *column) {
	if len(f.columns) >= maxColumns {
		f.truncated++
		return
	}
	f.columns = append(f.columns, c)
}

func (d *finder) room(f *frame) bool {
	if d.frames >= maxFrames || f.depth >= 3 {
		f.truncated++
		return false
	}
	d.frames++
	return true
}

// sub adds the frame of a list, or of an object whose keys are names.
func (d *finder) sub(f *frame, n *node, keys []string) {
	if !d.room(f) {
		return
	}
	g := &frame{keys: slices.Concat(f.keys, keys), depth: f.depth + 1, elem: n.elem}
	g.noun = d.nounOf(g, f)
	if f.items != "" {
		g.outer = f
	}
	if n.family != "" {
		keys = keys[:len(keys)-1] // the last key is not in the document: it is the common beginning of the members' keys
	}
	path := pathOf(f.self, keys)
	g.compose(f, path, n)
	g.walk(f, keys, n)
	if n.names {
		g.add(&column{keys: []string{g.noun}, path: g.key(), isKey: true, cell: func(r *row) cell { return cell{document.String, r.key} }})
	}
	f.subs = append(f.subs, g)
	if n.elem == nil || n.elem.seen == n.elem.kinds[document.Null] {
		g.empty = true
		return
	}
	d.elements(g, n)
}

// elements adds the columns of the items of a list.
func (d *finder) elements(g *frame, n *node) {
	kind, one := n.elem.kind()
	switch {
	case !one:
		g.truncated++
	case kind == document.Array:
		d.rowsOfCells(g, n.elem)
	case kind == document.Object:
		if inner := wrapped(n.elem); inner != nil { // {"node": {…}}
			unwrap := []string{inner.key}
			d.fields(g, inner, unwrap)
			return
		}
		d.fields(g, n.elem, nil)
	default:
		if !n.names && g.items != "" && g.outer == nil {
			g.index()
			return
		}
		d.fields(g, n.elem, nil)
	}
}

// index adds a column with the positions of the values, for a list of numbers or texts.
func (g *frame) index() {
	g.items = g.list + " | to_entries[]"
	g.self = ".value"
	g.add(&column{keys: []string{"index"}, path: ".key", isKey: true, cell: func(r *row) cell { return cell{document.Number, strconv.Itoa(r.at)} }})
	g.add(&column{path: ".value", cell: func(r *row) cell { return cellOf(r.v) }})
}

// compose sets the jq expressions of the items and of the list.
func (g *frame) compose(f *frame, path string, n *node) {
	if path == "" {
		path = "."
	}
	question := ""
	if n.kinds[document.Null] > 0 || f.items != "" {
		question = "?"
	}
	each := path + "[]" + question
	if n.names {
		each = path + " | to_entries[]" + question
	}
	if n.family != "" {
		each += " | select(.key | test(" + quote(n.family) + "))"
	}
	if g.outer == nil {
		g.items = each
		g.list = path
		if n.family != "" {
			g.list = "[" + each + "]"
		}
		if n.names {
			g.self = ".value"
		}
		return
	}
	noun := g.noun
	if n.names {
		each = "(" + each + ")"
	}
	if f.outer == nil {
		outer := f.noun
		if noun == outer {
			noun += "_item"
		}
		g.items = f.items + " | {" + outer + ": ., " + noun + ": " + each + "}"
		g.at = "." + outer
	} else {
		g.items = f.items + " | . + {" + noun + ": " + each + "}"
	}
	g.self = "." + noun
	if n.names {
		g.self += ".value"
	}
}

// key returns the path of the key within an item, for an object whose keys are names.
func (g *frame) key() string { return strings.TrimSuffix(g.self, ".value") + ".key" }

// walk sets the field "each" to a function that finds the items in a document.
func (g *frame) walk(f *frame, keys []string, list *node) {
	names := list.names
	meant := func(string) bool { return true }
	if list.family != "" {
		meant = pattern.OnUse(list.family)().MatchString
	}
	g.each = func(root document.Value, yield func(*row) bool) {
		n := 0
		f.each(root, func(outer *row) bool {
			more := true
			emit := func(key string, v document.Value, at int) bool {
				r := &row{v: v, key: key, at: at}
				if g.outer != nil {
					r.outer = outer
				}
				n++
				more = n <= maxRows && yield(r)
				return more
			}
			list, at := follow(outer.v, keys), 0
			if names {
				for key, v := range list.Members {
					if meant(key) && !emit(strings.Clone(key), v, at) {
						break
					}
					at++
				}
				return more
			}
			for v := range list.Items {
				if at++; at > g.header && !emit("", v, at-1) {
					break
				}
			}
			return more
		})
	}
}

// nounOf returns a name for one item of the list. It is made from the last key that is not generic.
func (d *finder) nounOf(g, f *frame) string {
	for i := len(g.keys) - 1; i >= 0; i-- {
		if w := words(g.keys[i]); !isGeneric(g.keys[i]) && len(w) > 0 {
			if by := slices.IndexFunc(w, func(word string) bool { return word == "by" || word == "per" }); by >= 0 && by+1 < len(w) {
				g.by = strings.Join(w[by+1:], "_") // the words after "by" or "per" say what the keys are
				if w = w[:by]; by == 0 {
					continue
				}
			}
			w[len(w)-1] = singular(w[len(w)-1])
			noun := strings.Join(w, "_")
			if isIdentifier(noun) && !isKeyword(noun) {
				return noun
			}
		}
	}
	if f.noun != "" {
		return f.noun + "_item"
	}
	return d.job
}

// wrapped returns the object that wraps the fields of an item, such as node in {"cursor": …, "node": {…}}. It returns nil if there is no
// such object.
func wrapped(n *node) *node {
	var inner *node
	for _, m := range n.members {
		switch {
		case m.is(document.Object) && !m.names && inner == nil && has([]string{strings.ToLower(m.key)}, "node", "item", "data", "resource", "attributes", "record", "value"):
			inner = m
		case has([]string{m.key}, "cursor", "__typename", "kind", "type", "fullUrl", "id", "links", "relationships"):
		default:
			return nil
		}
	}
	if inner != nil && len(n.members) > 1 && n.byKey["id"] != nil && !has([]string{inner.key}, "node") {
		return nil // the item also has an id, which is needed
	}
	return inner
}

// rowsOfCells adds the columns of a list of lists, one for each position. nameColumns names them later, if the first row has
// names.
func (d *finder) rowsOfCells(g *frame, n *node) {
	if n.least != n.most || n.most == 0 || n.most > maxColumns || g.outer != nil || g.list == "" {
		g.truncated++
		return
	}
	for i := range n.most {
		g.add(&column{
			keys: []string{"column_" + strconv.Itoa(i)}, path: pathOf(g.self, nil) + ".[" + strconv.Itoa(i) + "]",
			cell: func(r *row) cell { return cellOf(item(r.v, i)) }, unnamed: true,
		})
	}
}

func item(list document.Value, at int) document.Value {
	i := 0
	for v := range list.Items {
		if i == at {
			return v
		}
		i++
	}
	return document.Value{}
}

// nameColumns names the columns of a list of lists by its first row, if that row has names.
func (f *frame) nameColumns(roots []document.Value) {
	if f.elem == nil || !f.elem.is(document.Array) || len(f.columns) == 0 || len(roots) == 0 {
		return
	}
	var first, second *row
	f.each(roots[0], func(r *row) bool {
		if first == nil {
			first = r
			return true
		}
		second = r
		return false
	})
	if first == nil || second == nil {
		return
	}
	numbers := 0
	var names []string
	for _, c := range f.columns {
		name, value := c.cell(first), c.cell(second)
		if name.kind != document.String || isNumber(name.text) || slices.Contains(names, name.text) || len(words(name.text)) == 0 {
			return
		}
		names = append(names, name.text)
		if value.kind == document.Number || isNumber(value.text) {
			numbers++
		}
	}
	if numbers == 0 {
		return
	}
	for i, c := range f.columns {
		c.keys, c.unnamed = []string{names[i]}, false
	}
	f.header = 1
	f.items = f.list + "[1:][]"
	f.list += "[1:]"
}

// sideBySide returns the members of an object that are parallel lists: lists of the same length, in which the values at the
// same position belong to the same item.
func sideBySide(n *node) []*node {
	var all []*node
	for _, m := range n.members {
		if m.is(document.Array) && m.elem != nil && m.kinds[document.Null] == 0 && m.least == m.most && m.most > 0 {
			if k, one := m.elem.kind(); one && k != document.Object && k != document.Array {
				all = append(all, m)
			}
		}
	}
	if len(all) < 2 {
		return nil
	}
	length, measured := all[0].most, false
	for _, m := range all {
		if m.most != length {
			return nil
		}
		k, _ := m.elem.kind()
		measured = measured || k == document.Number
	}
	if !measured || length == 1 && !namesTime(words(all[0].key)) {
		return nil
	}
	return all
}

// parallel adds the frame of parallel lists.
func (d *finder) parallel(f *frame, side []*node, keys []string) {
	g := &frame{keys: slices.Clone(keys), depth: f.depth + 1}
	g.noun = d.nounOf(g, f)
	var paths []string
	for i, m := range side {
		paths = append(paths, member(pathOf("", keys), m.key))
		g.add(&column{
			keys: []string{m.key}, around: slices.Clone(keys), path: ".[" + strconv.Itoa(i) + "]",
			cell: func(r *row) cell { return cellOf(r.cells[i][r.at]) },
		})
	}
	g.list = "[" + strings.Join(paths, ", ") + "] | transpose"
	g.items = g.list + "[]"
	g.each = func(root document.Value, yield func(*row) bool) {
		var cells [][]document.Value
		length := maxRows
		for _, m := range side {
			var list []document.Value
			for v := range follow(root, append(slices.Clone(keys), m.key)).Items {
				list = append(list, v)
			}
			cells = append(cells, list)
			length = min(length, len(list))
		}
		for i := range length {
			if !yield(&row{cells: cells, at: i}) {
				return
			}
		}
	}
	f.subs = append(f.subs, g)
}
