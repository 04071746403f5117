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

	metas       map[string]*meta // by family
	generation  uint32           // counts the families that were new
	before, now []*entry         // of the last scrape that went well and the one at hand, in their order
	next        int              // in before, behind the entry found last

	// Of the scrape at hand.
	shown                []*series // what it shows; before settle, all that it has a line of
	spare                []*series
	scraped, kept, added int
	err                  error
	took                 time.Duration
}

func newTarget(p place) *target {
	return &target{place: p, set: metric.LabelSetOf(appendLabels(nil, p.labels, "")), metas: map[string]*meta{}}
}

// known finds the entry of a line, nil where there is none. Pages keep their order from scrape to scrape, so it is most
// often the one behind the last one found.
func (r *reader) known(hash uint64, length int) *entry {
	t := r.t
	if t.next < len(t.before) {
		if e := t.before[t.next]; e.hash == hash && int(e.length) == length {
			t.next++
			return e
		}
	}
	if len(r.index.slots) == 0 {
		r.index.begin(t.before)
	}
	at := r.index.find(hash, length)
	if at < 0 {
		return nil
	}
	if at < len(t.before) {
		t.next = at + 1
	}
	return r.index.entries[at]
}

// begin opens a scrape, end closes it.
func (t *target) begin() {
	t.shown, t.now, t.next = t.shown[:0], t.now[:0], 0
	t.scraped, t.kept, t.added, t.err = 0, 0, 0, nil
}

// end forgets what this scrape has not seen; after a failed one, what that has brought.
func (t *target) end(s *source) {
	defer s.index.reset()
	if t.err != nil {
		t.shown = t.shown[:0]
		for _, e := range s.index.fresh() {
			s.detach(e)
		}
		clear(t.now)
		if len(t.metas) > 2*len(t.before)+1000 {
			for _, m := range t.metas {
				m.version++ // for the lines that stay
			}
			clear(t.metas)
		}
		return
	}
	if len(t.now) < len(t.before)+len(s.index.fresh()) {
		for _, e := range t.before {
			if e.seen != s.scrape {
				s.detach(e)
			}
		}
	}
	t.before, t.now = t.now, t.before
	clear(t.now[:cap(t.now)])
	maps.DeleteFunc(t.metas, func(_ string, m *meta) bool {
		if m.seen == s.scrape {
			return false
		}
		m.version++ // for the lines that stay
		return true
	})
}

func (t *target) forget(s *source) {
	for _, e := range t.before {
		s.detach(e)
	}
	t.before = nil
}
