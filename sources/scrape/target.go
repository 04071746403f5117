package scrape

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
)

// Address is where a target's page is: host:port, or a whole URL. The path is /metrics where none is given.
type Address struct{ setting.URL }

// UnmarshalText reads either form.
func (a *Address) UnmarshalText(text []byte) error {
	if !strings.Contains(string(text), "://") {
		text = append([]byte("http://"), text...)
	}
	if err := a.URL.UnmarshalText(text); err != nil {
		return err
	}
	if a.Path == "" {
		a.Path = "/metrics"
	}
	return nil
}

// place is where a target is and which labels its series get.
type place struct {
	url    url.URL
	labels labels.Labels // job, instance, and those of its group
}

func (p *place) key() string { return p.url.String() + " " + p.labels.String() }

// place makes a target of an address. As in Prometheus, a group's labels that begin with __ say how to scrape, and the
// others are on every series; they win over job and instance.
func (a *Address) place(job string, group map[string]string) place {
	p := place{url: a.URL.URL}
	query, changed := p.url.Query(), false
	b := labels.NewBuilder(labels.FromStrings(model.JobLabel, job, model.InstanceLabel, a.Host))
	for _, name := range slices.Sorted(maps.Keys(group)) {
		value := group[name]
		parameter, isParameter := strings.CutPrefix(name, model.ParamLabelPrefix)
		switch {
		case name == model.MetricsPathLabel:
			p.url.Path = value
		case name == model.SchemeLabel:
			p.url.Scheme = value
		case isParameter:
			query.Set(parameter, value)
			changed = true
		case !strings.HasPrefix(name, model.ReservedLabelPrefix):
			b.Set(name, value)
		}
	}
	if changed {
		p.url.RawQuery = query.Encode()
	}
	p.labels = b.Labels()
	return p
}

// target is one exporter and what is known of its page.
type target struct {
	place
	set    *metric.LabelSet // its labels
	report [reports]*series

	entries     map[string]*entry // by the line's own text
	metas       map[string]*meta  // by family
	generation  uint32            // counts the families that were new
	before, now []*entry          // of the last scrape and the one at hand, in their order
	next        int               // in before, behind the entry found last

	// Of the scrape at hand.
	shown                []*series // what it shows; before settle, all that it has a line of
	spare                []*series
	scraped, kept, added int
	err                  error
	took                 time.Duration
}

func newTarget(p place) *target {
	return &target{place: p, set: labelSet(p.labels), entries: map[string]*entry{}, metas: map[string]*meta{}}
}

// known finds the entry of a line, nil where there is none. Pages keep their order from scrape to scrape, so it is most
// often the one behind the last one found.
func (t *target) known(raw []byte) *entry {
	if t.next < len(t.before) && t.before[t.next].raw == string(raw) {
		t.next++
		return t.before[t.next-1]
	}
	e := t.entries[string(raw)]
	if e != nil && e.place < len(t.before) && t.before[e.place] == e {
		t.next = e.place + 1
	}
	return e
}

// begin opens a scrape, end closes it.
func (t *target) begin() {
	t.shown, t.now, t.next = t.shown[:0], t.now[:0], 0
	t.scraped, t.kept, t.added, t.err = 0, 0, 0, nil
}

// end forgets what this scrape has not seen; after a failed one, only what a broken page may have put there too much.
func (t *target) end(s *source) {
	if t.err != nil {
		t.shown = t.shown[:0]
		if len(t.entries) > 2*len(t.before)+1000 {
			t.forget(s, func(e *entry) bool { return e.place >= len(t.before) || t.before[e.place] != e })
		}
		if len(t.metas) > 2*len(t.before)+1000 {
			for _, m := range t.metas {
				m.version++ // for the lines that stay
			}
			clear(t.metas)
		}
		return
	}
	for i, e := range t.now {
		e.place = i
	}
	t.before, t.now = t.now, t.before
	clear(t.now[:cap(t.now)])
	if len(t.entries) > len(t.before) {
		t.forget(s, func(e *entry) bool { return e.seen != s.scrape })
	}
	maps.DeleteFunc(t.metas, func(_ string, m *meta) bool {
		if m.seen == s.scrape {
			return false
		}
		m.version++ // for the lines that stay
		return true
	})
}

func (t *target) forget(s *source, gone func(*entry) bool) {
	for raw, e := range t.entries {
		if gone(e) {
			delete(t.entries, raw)
			s.detach(e)
		}
	}
}
