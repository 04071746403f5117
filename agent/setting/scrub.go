package setting

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"time"
)

// minSecret is the minimum length of a secret that is removed from texts. If shorter ones were removed, ordinary words and numbers
// would be removed too.
const minSecret = 4

// minCut is the minimum length of the beginning or end of a secret that is removed from a text in which the whole secret does not occur.
const minCut = 8

// Bounds of a generation of values. See generations.
const (
	maxKnown  = 512              // number of values up to which a generation stays young, however old it is
	maxRecent = 8192             // number of values up to which a generation stays young while it is younger than recent
	maxBytes  = 2 << 20          // total length of the values up to which a generation of maxKnown or more values stays young
	recent    = 10 * time.Minute // a value stays known for at least this time after its use, unless maxRecent or maxBytes of others displace it
)

// blank replaces a secret.
const blank = "<secret>"

// known holds the values to remove: secrets, and results that were computed from secrets. A job can compute thousands of results, such as a
// signature for each request. These results must not displace the secrets.
type known struct {
	mu               sync.RWMutex
	secrets, results generations
}

// generations are two generations of values. They limit the number of values, since tokens can change every few minutes. When the young
// generation is full, it becomes the old one, and the old one is forgotten. A value that is used again is put into the young generation. So
// a value that only the old generation has was not used since the young one began.
type generations struct {
	young, old generation
	began      time.Time // when the young generation began
}

// remember adds a value to the generations "in". The argument "most" is the maximum number of values in a generation.
func (k *known) remember(value string, in *generations, most int) {
	k.mu.RLock()
	known := in.young.values[value] && !in.outlived()
	k.mu.RUnlock()
	if known {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	in.add(value, most)
}

// outlived reports whether the old generation can be forgotten: its values have not been used for twice the time "recent", and the young
// generation alone has the maxKnown most recently used values.
func (g *generations) outlived() bool {
	return g.old.values != nil && len(g.young.values) >= maxKnown && time.Since(g.began) >= 2*recent
}

func (g *generations) add(value string, most int) {
	if g.outlived() {
		g.old = generation{}
	}
	if g.young.values[value] {
		return
	}
	n := len(g.young.values)
	if g.young.values == nil || n >= most || n >= maxKnown && (g.young.bytes >= maxBytes || time.Since(g.began) >= recent) {
		g.old, g.young, g.began = g.young, generation{values: map[string]bool{}, index: newIndex()}, time.Now()
	}
	if len(g.young.values) == maxKnown {
		g.young.index.grow()
	}
	g.young.values[value] = true
	g.young.bytes += len(value)
	g.young.index.add(value)
}

// generation is a set of values with an index, which finds the forms of the values in a text.
type generation struct {
	values map[string]bool
	bytes  int // total length of the values
	index  index
}

// A long text is searched in pieces, to limit the memory that is needed. The pieces overlap by more than the length of a token, so
// that no token is missed.
const (
	pieceSize = 1 << 20
	overlap   = 16 << 10
)

// scrub returns the text after replacing all parts that reveal a value by the constant "blank".
func (k *known) scrub(text string) string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if len(k.secrets.young.values)+len(k.results.young.values) == 0 {
		return text
	}
	var found []span
	for at := 0; at == 0 || at < len(text); at += pieceSize {
		for _, s := range k.find(text[at:min(at+pieceSize+overlap, len(text))]) {
			found = append(found, span{s.from + at, s.to + at})
		}
	}
	if found == nil {
		return text
	}
	slices.SortFunc(found, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var b strings.Builder
	done := 0
	for i := 0; i < len(found); {
		s := found[i]
		for i++; i < len(found) && found[i].from < s.to; i++ {
			s.to = max(s.to, found[i].to)
		}
		b.WriteString(text[done:s.from] + blank)
		done = s.to
	}
	return b.String() + text[done:]
}

// find returns the parts of the text that reveal a value. It searches the text as it is, and also with its escape sequences decoded. Escape
// sequences can be nested.
func (k *known) find(text string) []span {
	var found []span
	for v, level := newView(text), 0; v != nil && level <= maxNested; v, level = v.decoded(), level+1 {
		for _, g := range []*generation{&k.secrets.young, &k.secrets.old, &k.results.young, &k.results.old} {
			if g.values != nil {
				found = append(found, g.index.find(v, text)...)
			}
		}
	}
	return found
}

// span is a part of a text.
type span struct{ from, to int }

// index finds the forms of values by their first or last bytes. So the time to search a text does not depend on the number of
// values.
type index struct {
	begins map[uint64][]form // by their first 8 bytes
	ends   map[uint64][]form // by their last 8 bytes
	four   map[uint32][]form // by their first 4 bytes
	filter []bool            // true for the hashes of the first 4 bytes of all keys
}

// Sizes of the filter. The filter should be much larger than the number of keys. There are several keys for each value.
const (
	filterBits = 14 // for up to maxKnown values
	moreBits   = 18 // for more values
)

func newIndex() index {
	return index{map[uint64][]form{}, map[uint64][]form{}, map[uint32][]form{}, make([]bool, 1<<filterBits)}
}

// hash returns the place of a key in the filter.
func (x *index) hash(four uint32) uint32 {
	if len(x.filter) == 1<<filterBits {
		return four * 2654435761 >> (32 - filterBits)
	}
	return four * 2654435761 >> (32 - moreBits)
}

// grow makes the filter larger.
func (x *index) grow() {
	x.filter = make([]bool, 1<<moreBits)
	for four := range x.four {
		x.filter[x.hash(four)] = true
	}
	for eight := range x.ends {
		x.filter[x.hash(uint32(eight))] = true // the first four bytes
	}
}

func (x *index) add(value string) {
	var seen []string
	for kind := range kinds {
		f := newForm(value, kind)
		text := f.text()
		if len(text) < f.least() || slices.Contains(seen, text) {
			continue
		}
		seen = append(seen, text)
		four := binary.LittleEndian.Uint32([]byte(text))
		x.four[four] = append(x.four[four], f)
		x.filter[x.hash(four)] = true
		if len(text) < minCut {
			continue
		}
		begin, end := []byte(text[:minCut]), []byte(text[len(text)-minCut:])
		x.begins[binary.LittleEndian.Uint64(begin)] = append(x.begins[binary.LittleEndian.Uint64(begin)], f)
		x.ends[binary.LittleEndian.Uint64(end)] = append(x.ends[binary.LittleEndian.Uint64(end)], f)
		x.filter[x.hash(binary.LittleEndian.Uint32(end))] = true
	}
}

// maxOverlap says where the search for other values continues after a value was found: this number of bytes before the end of the found
// value. So if another value begins earlier than that within the found value, it can be found only by its end.
const maxOverlap = 256

// find returns the parts of a view that reveal a value, as positions in the original text.
func (x *index) find(v *view, text string) []span {
	var found []span
	add := func(f form, from, to int) {
		for from < to-1 && v.plain[from] == ' ' { // spaces between an authentication scheme and the key
			from++
		}
		s := v.span(from, to)
		if f.kind.isBase64() {
			s = s.widen(text)
		}
		found = append(found, s)
	}
	b := v.folded
	for i := 0; i+minSecret <= len(b); i++ {
		four := binary.LittleEndian.Uint32(b[i:])
		if !x.filter[x.hash(four)] {
			continue
		}
		x.short(v, i, four, add)
		if i+minCut > len(b) {
			continue
		}
		eight := binary.LittleEndian.Uint64(b[i:])
		longest := 0
		for _, f := range x.begins[eight] {
			n := f.common(b[i:])
			if n > longest && (n == f.size || f.isCut(n, v.isMark(i+n))) {
				longest = n
				add(f, i, i+n)
			}
		}
		if longest > maxOverlap {
			i += longest - maxOverlap // otherwise the time for a secret that repeats one letter would be proportional to the square of its length
			continue
		}
		longest = 0
		for _, f := range x.ends[eight] {
			n := f.commonEnd(b[:i+minCut])
			if n > longest && n < f.size && f.isCut(-n, false) {
				longest = n
				add(f, i+minCut-n, i+minCut)
			}
		}
	}
	return found
}

// short finds values that are shorter than minCut. It also finds the first characters of longer values if an ellipsis follows, since the
// ellipsis shows that the value was cut.
func (x *index) short(v *view, i int, four uint32, add func(f form, from, to int)) {
	for _, f := range x.four[four] {
		n := f.common(v.folded[i:min(i+minCut, len(v.folded))])
		switch {
		case n == f.size && n < minCut && f.is(v.plain[i:i+n]):
			add(f, i, i+n)
		case n < f.size && n < minCut && f.kind == asIs && v.isMark(i+n):
			add(f, i, i+n)
		}
	}
}

// widen extends the span to all adjacent characters of base64, since they encode the same data.
func (s span) widen(text string) span {
	isBase64 := func(c byte) bool {
		return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("+/-_=", c) >= 0
	}
	for s.from > 0 && isBase64(text[s.from-1]) {
		s.from--
	}
	for s.to < len(text) && isBase64(text[s.to]) {
		s.to++
	}
	return s
}
