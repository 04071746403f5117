package groups

import (
	"fmt"
	"hash/maphash"
	"strings"

	"github.com/collectington/collectington/agent/metric"
)

// index holds the names and series of all groups, so that the time to check a push only depends on the size of the push.
type index struct {
	seed   maphash.Seed
	names  map[string]*nameUse
	series map[uint64]string // key of the group that has the series, by a hash of the series' name and labels
	descs  map[string]*descUse
	total  int // number of series
	bytes  int64
}

// nameUse counts the groups that have a family with a name. All of these families have the same type.
type nameUse struct {
	typ  metric.Type
	used int
}

// descUse counts the families that share a description.
type descUse struct {
	desc *metric.Desc
	used int
}

func newIndex() *index {
	return &index{seed: maphash.MakeSeed(), names: map[string]*nameUse{}, series: map[uint64]string{}, descs: map[string]*descUse{}}
}

// check returns the reason why the group g conflicts with another group, or nil if it does not. The argument "lookup" returns a group by
// its key. The argument "before" is the previous state of g. Families that g already had in that state are not checked again.
func (x *index) check(before, g *Group, lookup func(key string) *Group) error {
	seen := map[uint64][]*metric.LabelSet{}
	for _, f := range g.Families {
		if before.family(f.Name) == f {
			continue
		}
		if use := x.names[f.Name]; use != nil && use.typ != f.Type && use.used > used(before.family(f.Name)) {
			return fmt.Errorf("metric %s is a %s here and a %s in another group: a name has one type", f.Name, f.Type, use.typ)
		}
		if err := x.checkSuffixes(f, before, g); err != nil {
			return err
		}
		clear(seen)
		for _, p := range f.Parts {
			for i := range p.Series {
				set := p.Series[i].Labels
				hash := x.hash(f.Name, set)
				for _, other := range seen[hash] {
					if other.Equal(set) {
						return fmt.Errorf("metric %s %s was pushed twice with the same labels", f.Name, set)
					}
				}
				seen[hash] = append(seen[hash], set)
				if key, found := x.series[hash]; found && key != g.key && has(lookup(key), f.Name, set) {
					return fmt.Errorf("metric %s %s is in another group already, with the same labels", f.Name, set)
				}
			}
		}
	}
	return nil
}

func used(f *Family) int {
	if f == nil {
		return 0
	}
	return 1
}

// has reports whether a group has a series.
func has(g *Group, name string, set *metric.LabelSet) bool {
	f := g.family(name)
	if f == nil {
		return false
	}
	for _, p := range f.Parts {
		for i := range p.Series {
			if p.Series[i].Labels.Equal(set) {
				return true
			}
		}
	}
	return false
}

// suffixes returns the suffixes that the names of a type's series can have.
func suffixes(t metric.Type) []string {
	switch t {
	case metric.Histogram:
		return []string{"_bucket", "_sum", "_count"}
	case metric.Summary:
		return []string{"_sum", "_count"}
	}
	return nil
}

// checkSuffixes returns an error if a series of f, such as x_sum of a histogram x, has the name of another family, or if f has the name
// of another family's series.
func (x *index) checkSuffixes(f *Family, before, g *Group) error {
	typeOf := func(name string) (t metric.Type, found bool) {
		if own := g.family(name); own != nil {
			return own.Type, true
		}
		if use := x.names[name]; use != nil && use.used > used(before.family(name)) {
			return use.typ, true
		}
		return 0, false
	}
	for _, suffix := range suffixes(f.Type) {
		if _, found := typeOf(f.Name + suffix); found {
			return fmt.Errorf("metric %s is a %s: its series %s%s has the name of another metric", f.Name, f.Type, f.Name, suffix)
		}
	}
	for _, suffix := range suffixes(metric.Histogram) {
		base, found := strings.CutSuffix(f.Name, suffix)
		if !found {
			continue
		}
		if t, found := typeOf(base); found && (t == metric.Histogram || t == metric.Summary && suffix != "_bucket") {
			return fmt.Errorf("metric %s has the name of a series of the %s %s", f.Name, t, base)
		}
	}
	return nil
}

// replace replaces the previous state of a group, which is the argument "before", by g. Either can be nil. If another group already has an
// equal description, g gets that one.
func (x *index) replace(before, g *Group) {
	if before != nil {
		for _, f := range before.Families {
			if g.family(f.Name) != f {
				x.forget(f, before.key)
			}
		}
	}
	if g != nil { // added first, so that what both groups have is not removed and added again
		for _, f := range g.Families {
			x.add(f, g.key, before.family(f.Name) != f)
		}
		x.total, x.bytes = x.total+g.series(), x.bytes+g.bytes
	}
	if before != nil {
		for _, f := range before.Families {
			x.release(f)
		}
		x.total, x.bytes = x.total-before.series(), x.bytes-before.bytes
	}
}

func (x *index) add(f *Family, key string, isNew bool) {
	use := x.names[f.Name]
	if use == nil {
		use = &nameUse{}
		x.names[f.Name] = use
	}
	use.typ = f.Type
	use.used++
	for i := range f.Parts {
		p := &f.Parts[i]
		text := descKey(p.Desc)
		shared := x.descs[text]
		if shared == nil {
			shared = &descUse{desc: p.Desc}
			x.descs[text] = shared
		}
		shared.used++
		if !f.shown && p.Desc != shared.desc {
			p.Desc = shared.desc
		}
		if isNew {
			for k := range p.Series {
				x.series[x.hash(f.Name, p.Series[k].Labels)] = key
			}
		}
	}
}

// forget removes the series of a family from the index, unless they belong to another group now.
func (x *index) forget(f *Family, key string) {
	for _, p := range f.Parts {
		for i := range p.Series {
			if h := x.hash(f.Name, p.Series[i].Labels); x.series[h] == key {
				delete(x.series, h)
			}
		}
	}
}

// release ends one use of the family's name and descriptions.
func (x *index) release(f *Family) {
	use := x.names[f.Name]
	if use.used--; use.used == 0 {
		delete(x.names, f.Name)
	}
	for _, p := range f.Parts {
		text := descKey(p.Desc)
		if shared := x.descs[text]; shared.used > 1 {
			shared.used--
		} else {
			delete(x.descs, text)
		}
	}
}

func (x *index) hash(name string, set *metric.LabelSet) uint64 {
	var h maphash.Hash
	h.SetSeed(x.seed)
	h.WriteString(name)
	for l := range set.All() {
		h.WriteByte(0xff) // cannot occur in UTF-8, so it separates the texts
		h.WriteString(l.Name)
		h.WriteByte(0xff)
		h.WriteString(l.Value)
	}
	return h.Sum64()
}

// descKey returns a text that is equal for equal descriptions.
func descKey(d *metric.Desc) string {
	return fmt.Sprintf("%s\xff%s\xff%d %t %t %x %x", d.Name, d.Help, d.Type, d.Native, d.KeepClassic, d.Buckets, d.Quantiles)
}
