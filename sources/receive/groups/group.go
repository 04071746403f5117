// Package groups keeps the groups of metrics that were pushed, like a Pushgateway.
//
//	path ─▶ ParsePath   the labels of the group
//	body ─▶ Decode      the pushed families
//	     ─▶ Store       converts, checks and writes to disk; then the request is answered and the group is shown
//
// A group is immutable: a push makes a new group. So readers of groups need no lock. If a push cannot be written to disk, the store
// continues to show the previous group.
package groups

import (
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// The metrics that every group has, as in a Pushgateway.
const (
	PushTime            = "push_time_seconds"
	PushTimeHelp        = "Last Unix time when changing this group in the Pushgateway succeeded."
	PushFailureTime     = "push_failure_time_seconds"
	PushFailureTimeHelp = "Last Unix time when changing this group in the Pushgateway failed."
)

// Group holds the metrics that were pushed with the same grouping labels. It is immutable.
type Group struct {
	Labels   []metric.Label // sorted by name, without empty values
	Pushed   time.Time      // time of the last successful push; zero = none
	Failed   time.Time      // time of the last push that was refused; zero = none
	Changed  time.Time      // time of the last push
	Families []*Family      // sorted by name, without the metrics that every group has

	key   string
	set   *metric.LabelSet // labels of push_time_seconds and push_failure_time_seconds, which every group has
	bytes int64            // approximate memory in bytes
}

// LastPushSucceeded reports whether the last push was successful.
func (g *Group) LastPushSucceeded() bool { return !g.Failed.After(g.Pushed) }

// All returns the families, including the metrics that every group has, sorted by name.
func (g *Group) All() []*Family {
	all := slices.Clone(g.Families)
	pushed, refused := g.Times()
	for _, f := range []*Family{g.time(PushTime, PushTimeHelp, pushed), g.time(PushFailureTime, PushFailureTimeHelp, refused)} {
		at, _ := slices.BinarySearchFunc(all, f.Name, func(f *Family, name string) int { return strings.Compare(f.Name, name) })
		all = slices.Insert(all, at, f)
	}
	return all
}

// Times returns two series: the times of the last successful push and of the last push that was refused.
func (g *Group) Times() (pushed, refused metric.Series) {
	return metric.Series{Labels: g.set, Value: seconds(g.Pushed)}, metric.Series{Labels: g.set, Value: seconds(g.Failed)}
}

// time returns one of the metrics that every group has.
func (g *Group) time(name, help string, s metric.Series) *Family {
	return &Family{Name: name, Type: metric.Gauge, Help: help, Time: g.Changed, Parts: []metric.Family{
		{Desc: &metric.Desc{Name: name, Help: help, Type: metric.Gauge, Targeted: true}, Series: []metric.Series{s}},
	}}
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}

// series returns the number of series, including the metrics that every group has.
func (g *Group) series() int {
	if g == nil {
		return 0
	}
	n := 2
	for _, f := range g.Families {
		for _, p := range f.Parts {
			n += len(p.Series)
		}
	}
	return n
}

// family returns the family with this name, or nil if the group has none.
func (g *Group) family(name string) *Family {
	if g == nil {
		return nil
	}
	at, found := slices.BinarySearchFunc(g.Families, name, func(f *Family, name string) int { return strings.Compare(f.Name, name) })
	if !found {
		return nil
	}
	return g.Families[at]
}

// newGroup returns a group that has no pushed metrics.
func newGroup(labels []metric.Label, key string) *Group {
	var own []metric.Label
	for _, l := range labels {
		if l.Value != "" {
			own = append(own, l)
		}
	}
	g := &Group{Labels: own, key: key, set: metric.NewLabelSet(own)}
	g.weigh()
	return g
}

// copyOf returns a copy of a group, which may be changed before it is shown. If g is nil, it returns a new group.
func copyOf(g *Group, labels []metric.Label, key string) *Group {
	if g == nil {
		return newGroup(labels, key)
	}
	c := *g
	return &c
}

// pushed returns the group after a push. If "replace" is true, families that were not pushed are removed. If "sum" is true, pushed running
// totals are added to those of the group. In that case, running totals that were not pushed are kept even if "replace" is true.
func (g *Group) pushed(families []*Family, replace, sum bool) (*Group, error) {
	next := *g
	next.Families = nil
	for _, f := range g.Families {
		stays := !replace || sum && isTotal(f.Type)
		if stays && !slices.ContainsFunc(families, func(p *Family) bool { return p.Name == f.Name }) {
			next.Families = append(next.Families, f)
		}
	}
	fresh := make([]*Family, 0, len(families))
	for _, f := range families {
		if sum {
			var err error
			if f, err = add(g.family(f.Name), f); err != nil {
				return nil, err
			}
		}
		fresh = append(fresh, f)
	}
	g.handDown(fresh)
	next.Families = append(next.Families, fresh...)
	slices.SortFunc(next.Families, func(a, b *Family) int { return strings.Compare(a.Name, b.Name) })
	next.weigh()
	return &next, nil
}

// handDown replaces the label sets in new families by those of the same series in the group, since sinks recognize a series by its
// label set.
func (g *Group) handDown(fresh []*Family) {
	known := map[string]*metric.LabelSet{}
	for _, f := range fresh {
		before := g.family(f.Name)
		if before == nil {
			continue
		}
		clear(known)
		for _, p := range before.Parts {
			for i := range p.Series {
				known[p.Series[i].Labels.String()] = p.Series[i].Labels
			}
		}
		for _, p := range f.Parts {
			for i := range p.Series {
				if set := known[p.Series[i].Labels.String()]; set != nil {
					p.Series[i].Labels = set
				}
			}
		}
	}
}

// weigh estimates the memory of a group in bytes.
func (g *Group) weigh() {
	const ofGroup, ofFamily, ofSeries, ofLabel, ofNumber = 1000, 200, 150, 4, 16
	g.bytes = ofGroup
	for _, l := range g.Labels {
		g.bytes += int64(3 * (len(l.Name) + len(l.Value)))
	}
	for _, f := range g.Families {
		g.bytes += int64(ofFamily + len(f.Name) + len(f.Help))
		for _, p := range f.Parts {
			g.bytes += ofFamily + ofNumber*int64(len(p.Desc.Buckets)+len(p.Desc.Quantiles))
			for i := range p.Series {
				s := &p.Series[i]
				g.bytes += ofSeries
				for l := range s.Labels.All() {
					g.bytes += int64(ofLabel + len(l.Name) + len(l.Value))
				}
				if h := s.Histogram(); h != nil {
					g.bytes += ofNumber * int64(len(h.Counts)+8)
					if h.Native != nil {
						g.bytes += ofNumber * int64(len(h.Native.Positive)+len(h.Native.Negative))
					}
				}
				for _, e := range s.Exemplars() {
					g.bytes += ofSeries + int64(ofNumber*len(e.Labels))
				}
			}
		}
	}
}
