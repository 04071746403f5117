package infer

import (
	"strings"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/pattern"
)

// Limits for what is examined of a document. What exceeds them is reported, or only counted.
const (
	maxNodes    = 4000 // nodes in the tree
	maxMembers  = 400  // members of one object whose keys are fields
	maxNesting  = 12
	maxRows     = 5000 // items of one list
	maxDistinct = 1000 // values of one node
	maxText     = 200  // bytes kept of one value
)

// node is a position in the documents. It describes all values at this position, in all items of the lists around it.
type node struct {
	key      string
	seen     int // number of values at this position; smaller than the parent's if some objects do not have the member
	kinds    [7]int
	members  []*node
	byKey    map[string]*node
	elem     *node // for lists: the node of the items
	least    int   // number of items of the shortest list
	most     int   // number of items of the longest list
	distinct map[string]int
	more     bool // there are more distinct values or members than are kept
	order    []string
	family   string // regular expression of keys: the node stands only for the members with such keys, which are names; "" = none
	names    bool   // this is an object whose keys are names; elem is the node of its values
}

// schema builds the tree of nodes for documents.
type schema struct{ nodes int }

// tree returns one tree for all the documents.
func tree(roots ...document.Value) *node {
	s := &schema{}
	n := &node{}
	for _, root := range roots {
		s.add(n, root, 0)
	}
	n.findNames()
	return n
}

// add adds a value to its node.
func (s *schema) add(n *node, v document.Value, depth int) {
	n.seen++
	n.kinds[v.Kind()]++
	if depth > maxNesting {
		return
	}
	switch v.Kind() {
	case document.Object:
		for key, member := range v.Members {
			if m := s.member(n, key); m != nil {
				s.add(m, member, depth+1)
			}
		}
	case document.Array:
		s.addItems(n, v, depth)
	case document.Null:
	default:
		n.count(clip(v.Text()))
	}
}

func (s *schema) addItems(n *node, v document.Value, depth int) {
	if n.elem == nil {
		n.elem = &node{}
		s.nodes++
	}
	count := 0
	for item := range v.Items {
		if count++; count <= maxRows {
			s.add(n.elem, item, depth+1)
		}
	}
	if n.kinds[document.Array] == 1 || count < n.least {
		n.least = count
	}
	n.most = max(n.most, count)
}

// member returns the node of an object's member, or nil if there are too many members.
func (s *schema) member(n *node, key string) *node {
	if m := n.byKey[key]; m != nil {
		return m
	}
	if s.nodes >= maxNodes || len(n.members) >= maxMembers {
		n.more = true
		return nil
	}
	s.nodes++
	m := &node{key: strings.Clone(key)}
	if n.byKey == nil {
		n.byKey = map[string]*node{}
	}
	n.byKey[m.key] = m
	n.members = append(n.members, m)
	return m
}

func (n *node) count(text string) {
	if _, known := n.distinct[text]; !known {
		if len(n.distinct) >= maxDistinct {
			n.more = true
			return
		}
		if n.distinct == nil {
			n.distinct = map[string]int{}
		}
		text = strings.Clone(text)
		n.order = append(n.order, text)
	}
	n.distinct[text]++
}

// kind returns the kind of the values that are not null. It returns false if there are several kinds. True and false count
// as one kind.
func (n *node) kind() (document.Kind, bool) {
	found := document.Null
	for k := document.False; k <= document.Object; k++ {
		if n.kinds[k] == 0 || k == document.True && found == document.False {
			continue
		}
		if found != document.Null {
			return found, false
		}
		found = k
	}
	return found, true
}

// is returns true if all values that are not null are of this kind.
func (n *node) is(kind document.Kind) bool {
	k, one := n.kind()
	return one && k == kind
}

// findNames finds objects whose keys are names instead of fields, and merges the nodes of their values into the field "elem".
func (n *node) findNames() {
	if n.elem != nil {
		n.elem.findNames()
	}
	if n.family != "" {
		n.elem.findNames()
		return
	}
	if n.is(document.Object) && keysAreNames(n) {
		n.names = true
		n.elem = &node{}
		for _, m := range n.members {
			n.elem.merge(m)
		}
		n.least, n.most = len(n.members), len(n.members)
		n.elem.findNames()
		return
	}
	n.findFamilies()
	for _, m := range n.members {
		m.findNames()
	}
}

var numbered = pattern.OnUse(`^([A-Za-z][A-Za-z_-]*[A-Za-z])([:_-]?)[0-9]+$`)

// findFamilies merges members that are similar objects and differ in the number at the end of their key, such as switch:0 and
// switch:1. A single member is enough if its key has a colon before the number.
func (n *node) findFamilies() {
	families := map[string][]*node{}
	for _, m := range n.members {
		if found := numbered().FindStringSubmatch(m.key); found != nil && m.is(document.Object) {
			families[found[1]+found[2]] = append(families[found[1]+found[2]], m)
		}
	}
	var members []*node
	for _, m := range n.members {
		found := numbered().FindStringSubmatch(m.key)
		if found == nil || families[found[1]+found[2]] == nil {
			members = append(members, m)
			continue
		}
		all := families[found[1]+found[2]]
		if !(len(all) > 1 && alike(all)) && found[2] != ":" {
			members = append(members, m)
			continue
		}
		if m != all[0] {
			continue
		}
		f := &node{key: found[1], seen: n.seen, names: true, family: "^" + found[1] + found[2] + "[0-9]+$", elem: &node{}, members: all, least: len(all), most: len(all)}
		f.kinds[document.Object] = n.kinds[document.Object]
		for _, one := range all {
			f.elem.merge(one)
		}
		members = append(members, f)
	}
	n.members = members
}

// merge adds everything that is known about another node.
func (n *node) merge(o *node) {
	n.seen += o.seen
	for k, count := range o.kinds {
		n.kinds[k] += count
	}
	for _, text := range o.order {
		n.count(text)
		n.distinct[text] += o.distinct[text] - 1
	}
	n.more = n.more || o.more
	if o.elem != nil {
		if n.elem == nil {
			n.elem, n.least = &node{}, o.least
		}
		n.elem.merge(o.elem)
		n.least, n.most = min(n.least, o.least), max(n.most, o.most)
	}
	for _, m := range o.members {
		mine := n.byKey[m.key]
		if mine == nil {
			mine = &node{key: m.key}
			if n.byKey == nil {
				n.byKey = map[string]*node{}
			}
			n.byKey[m.key] = mine
			n.members = append(n.members, mine)
		}
		mine.merge(m)
	}
}

// keysAreNames reports whether the keys of an object are names of similar things, as in {"EUR": {…}, "USD": {…}}.
func keysAreNames(n *node) bool {
	if len(n.members) == 1 && n.members[0].is(document.Object) {
		key := n.members[0].key
		return isPlural(n.key) && (isNumber(key) || isRandom(key))
	}
	if len(n.members) < 2 {
		return false
	}
	var kind document.Kind
	for i, m := range n.members {
		k, one := m.kind()
		if !one || i > 0 && k != kind || k == document.Null {
			return false
		}
		kind = k
	}
	switch kind {
	case document.Object:
		return alike(n.members)
	case document.Number:
		return namesOfNumbers(n)
	}
	return false
}

// alike returns true if objects have mostly the same members: at least two thirds of all member names occur in more than half of the
// objects.
func alike(objects []*node) bool {
	all := map[string]int{}
	for _, o := range objects {
		for _, m := range o.members {
			all[m.key]++
		}
	}
	shared := 0
	for _, times := range all {
		if 2*times >= len(objects)+1 {
			shared++
		}
	}
	return shared > 0 && 3*shared >= 2*len(all) && (len(objects) > 2 || shared == len(all) || oddKeys(objects))
}

// namesOfNumbers reports whether the keys of an object of numbers are names instead of fields.
func namesOfNumbers(n *node) bool {
	for _, m := range n.members {
		if has(words(m.key), "total", "num", "count", "number", "failed", "max", "min", "avg", "last") {
			return oddKeys(n.members) // the names of fields
		}
	}
	plural := len(n.members) >= 3 && isPlural(n.key) || strings.HasPrefix(strings.ToLower(n.key), "by") && len(n.key) > 2
	return oddKeys(n.members) || plural || len(n.members) > 40
}

// oddKeys reports whether keys look like codes, dates or addresses, which are not used as names of fields.
func oddKeys(members []*node) bool {
	codes, odd := 0, 0
	for _, m := range members {
		switch {
		case isCode(m.key):
			codes++
		case !isIdentifier(m.key):
			odd++
		}
	}
	return codes == len(members) && len(members) >= 3 || 2*(odd+codes) > len(members) && odd > 0
}

// clip shortens a value to the length that is kept.
func clip(text string) string {
	if len(text) > maxText {
		return strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}
