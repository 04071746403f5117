package samples

import (
	"strings"
	"sync"

	"github.com/collectington/collectington/agent/metric"
)

// maxFamilies is the maximum number of families that are remembered. If it is reached, all are forgotten; later requests contain
// the metadata again.
const maxFamilies = 50_000

// Families remembers the metadata of metric families. This is needed because 1.0 sends metadata in separate requests. It also
// returns the same *metric.Desc for a family in each request. It is safe for concurrent use.
type Families struct {
	mu  sync.Mutex
	all map[metadata]*metric.Desc // only for 2.0
	of  map[string]*metric.Desc   // only for 1.0, by name of the family
}

// metadata is what is known about a family.
type metadata struct {
	name       string
	typ        metric.Type
	help, unit string
}

func (m metadata) describe() *metric.Desc {
	return &metric.Desc{
		Name: strings.Clone(m.name), Type: m.typ, Scraped: m.typ, Help: strings.Clone(m.help), Unit: strings.Clone(m.unit), Targeted: true,
	}
}

// learn remembers the metadata of a family in 1.0.
func (f *Families) learn(m metadata) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == nil || len(f.of) >= maxFamilies {
		f.of = map[string]*metric.Desc{}
	}
	if d := f.of[m.name]; d == nil || d.Type != m.typ || d.Help != m.help || d.Unit != m.unit {
		d := m.describe()
		f.of[d.Name] = d
	}
}

// ofSeries returns the family of a series that came by remote-write 1.0, or nil if the family is unknown.
func (f *Families) ofSeries(name string) *metric.Desc {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.of[name]; d != nil {
		return d
	}
	at := strings.LastIndexByte(name, '_')
	if at < 0 {
		return nil
	}
	if d := f.of[name[:at]]; d != nil && isSuffix(d.Type, name[at:]) {
		return d
	}
	return nil
}

// describe returns the family of a series in 2.0, where a series has its own metadata. It returns nil if the metadata is empty.
func (f *Families) describe(m metadata, isNative bool) *metric.Desc {
	if m.typ == metric.Unknown && m.help == "" && m.unit == "" {
		return nil
	}
	if at := strings.LastIndexByte(m.name, '_'); at >= 0 && !isNative && m.typ != metric.Counter && isSuffix(m.typ, m.name[at:]) {
		m.name = m.name[:at]
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.all[m]; d != nil {
		return d
	}
	if f.all == nil || len(f.all) >= maxFamilies {
		f.all = map[metadata]*metric.Desc{}
	}
	d := m.describe()
	f.all[metadata{d.Name, d.Type, d.Help, d.Unit}] = d
	return d
}

// isSuffix reports whether the names of a type's series can have the suffix.
func isSuffix(t metric.Type, suffix string) bool {
	switch suffix {
	case "_bucket":
		return t == metric.Histogram || t == metric.GaugeHistogram
	case "_sum", "_count":
		return t == metric.Histogram || t == metric.Summary
	case "_gsum", "_gcount":
		return t == metric.GaugeHistogram
	case "_total":
		return t == metric.Counter
	case "_info":
		return t == metric.Info
	}
	return false
}
