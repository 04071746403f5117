package exposition

import (
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
)

// Cache remembers the lines of one target's page for the next scrape.
type Cache struct {
	Counts

	pool     *Pool
	labels   labels.Labels    // labels of the target
	labelSet *metric.LabelSet // labels of the target as a set
	gauges   []*series        // metrics about the scrapes

	families        map[string]*metadata // metadata by name of the family
	familiesVersion uint32               // number of new families so far
	last, current   []*line              // lines of the last successful scrape and of the current scrape, in the order of the page
	next            int                  // position, in the slice "last", of the line that the page should have next

	good    uint32  // the round of the last successful scrape
	pointed []*line // lines that have several points on the current page

	shown []*series // series that the current round passes on; while a page is parsed, all series that have a line on it
	spare []*series // memory that the next scrape reuses
}

// Counts counts the samples of the current scrape in the same way as Prometheus: a histogram that is stored as a native histogram
// is one sample.
type Counts struct {
	Scraped int // samples on the page
	Kept    int // samples after relabelling
	Added   int // samples whose lines are new
}

// Begin begins a scrape. The caller must call Finish or Discard of the reader to end it.
func (c *Cache) Begin() *Reader {
	c.shown, c.current, c.pointed, c.next = c.shown[:0], c.current[:0], c.pointed[:0], 0
	c.Counts = Counts{}
	return &Reader{pool: c.pool, cache: c, format: formatText}
}

// IsKnown reports whether the cache has lines of an earlier scrape.
func (c *Cache) IsKnown() bool { return len(c.last) > 0 }

// SetGauges sets the values of the metrics about the scrape, in the order of [Options.Gauges].
func (c *Cache) SetGauges(values ...float64) {
	for i, v := range values {
		c.gauges[i].single.value = v
	}
}

// find returns the line with this hash and length, or nil if there is none. The lines of a page keep their order, so the line is usually
// the one that is expected next.
func (c *Cache) find(hash uint64, length int) *line {
	if c.next < len(c.last) {
		if l := c.last[c.next]; l.hash == hash && int(l.length) == length {
			c.next++
			return l
		}
	}
	index := &c.pool.index
	if len(index.slots) == 0 {
		index.fill(c.last)
	}
	i := index.find(hash, length)
	if i < 0 {
		return nil
	}
	if i < len(c.last) {
		c.next = i + 1
	}
	return index.lines[i]
}

// see records that the line is on the current page. The result "again" is true if the line was already recorded for this page.
func (c *Cache) see(l *line) (again bool) {
	if l.seen == c.pool.round {
		return true
	}
	l.seen = c.pool.round
	c.current = append(c.current, l)
	return false
}

// metadata returns the metadata of a series' family, or nil if there is none. The family has the name of the series, or that name without a
// suffix that the family's type allows.
func (c *Cache) metadata(name string) (m *metadata, suffix string) {
	if m := c.families[name]; m != nil {
		return m, ""
	}
	i := strings.LastIndexByte(name, '_')
	if i < 0 {
		return nil, ""
	}
	if m = c.families[name[:i]]; m == nil || !slices.Contains(suffixes(m.typ), name[i:]) {
		return nil, ""
	}
	return m, name[i:]
}

// end ends a successful scrape. It removes the lines that are no longer on the page.
func (c *Cache) end() {
	p := c.pool
	if len(c.current) < len(c.last)+len(p.index.added()) {
		for _, l := range c.last {
			if l.seen != p.round {
				p.detach(l)
			}
		}
	}
	c.last, c.current, c.good = c.current, c.last, p.round
	clear(c.current[:cap(c.current)])
	maps.DeleteFunc(c.families, func(_ string, m *metadata) bool {
		if m.isIn(p.round) {
			return false
		}
		m.typ = model.MetricTypeUnknown
		m.version++ // lines in the cache that belong to the family are resolved again when a page has them
		return m.seen != p.round
	})
	p.index.reset()
}

// abort ends a failed scrape. It removes the lines that were new, and shows no series.
func (c *Cache) abort() {
	c.shown = c.shown[:0]
	for _, l := range c.pool.index.added() {
		c.pool.detach(l)
	}
	clear(c.current)
	if len(c.families) > 2*len(c.last)+1000 {
		for _, m := range c.families {
			m.version++ // makes the remaining lines of the family outdated
		}
		clear(c.families)
	}
	c.pool.index.reset()
}

// lineIndex finds the lines of a target by hash. It is only filled if a page has a line that is not the expected one. It is reset
// after the scrape.
type lineIndex struct {
	lines []*line // lines of the last scrape in their order, then new lines
	old   int     // number of lines of the last scrape
	slots []int32 // hash table with open addressing, at most half full: an index into lines plus 1; 0 = free
}

func (x *lineIndex) fill(last []*line) {
	x.lines, x.old = append(x.lines[:0], last...), len(last)
	x.resize(4 * len(last))
}

// added returns the lines that were not in the last scrape.
func (x *lineIndex) added() []*line { return x.lines[x.old:] }

// find returns the index of the line with this hash and length, or -1.
func (x *lineIndex) find(hash uint64, length int) int {
	for slot := x.slot(hash); x.slots[slot] != 0; slot = x.nextSlot(slot) {
		i := int(x.slots[slot]) - 1
		if l := x.lines[i]; l.hash == hash && int(l.length) == length {
			return i
		}
	}
	return -1
}

func (x *lineIndex) add(l *line) {
	x.lines = append(x.lines, l)
	if 2*len(x.lines) > len(x.slots) {
		x.resize(4 * len(x.lines))
	} else {
		x.put(len(x.lines) - 1)
	}
}

// resize makes the table at least n slots large, and adds all lines to it.
func (x *lineIndex) resize(n int) {
	size := 64
	for size < n {
		size *= 2
	}
	if size <= cap(x.slots) {
		x.slots = x.slots[:size]
		clear(x.slots)
	} else {
		x.slots = make([]int32, size)
	}
	for i := range x.lines {
		x.put(i)
	}
}

func (x *lineIndex) put(i int) {
	slot := x.slot(x.lines[i].hash)
	for x.slots[slot] != 0 {
		slot = x.nextSlot(slot)
	}
	x.slots[slot] = int32(i) + 1
}

func (x *lineIndex) slot(hash uint64) int  { return int(hash & uint64(len(x.slots)-1)) }
func (x *lineIndex) nextSlot(slot int) int { return (slot + 1) & (len(x.slots) - 1) }

// reset removes all lines. If there are many slots, it frees their memory.
func (x *lineIndex) reset() {
	clear(x.lines)
	x.lines, x.slots, x.old = x.lines[:0], x.slots[:0], 0
	if cap(x.slots) > 1<<14 {
		*x = lineIndex{}
	}
}
