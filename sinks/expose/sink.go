package expose

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/webserver"
	"github.com/collectington/collectington/sinks"
)

const (
	forgetAfter   = 10 * time.Minute // a variant is no longer rendered when its last request was this long ago
	maxRenderings = 8                // limit, so that requests for many variants do not slow down every tick
	chunk         = 1000             // number of series that are rendered at a time
)

// sink renders pages when a batch is written, and serves these pages. Write and the server share nothing but the pages of the renderings.
type sink struct {
	config Config
	env    sinks.Env

	renderings atomic.Pointer[map[variant]*rendering] // a map is never modified, only replaced
	server     *webserver.Server

	mu        sync.Mutex // guards the fields below
	store     familyStore
	converter metric.Converter
	job       string            // the job whose series are being converted
	warned    map[string]string // by job: the first dropped series of the job's newest batch
}

func newSink(c *Config, env sinks.Env) *sink {
	s := &sink{config: *c, env: env, warned: map[string]string{}}
	s.server = s.newServer()
	s.renderings.Store(&map[variant]*rendering{})
	s.store = familyStore{hasJobLabel: c.JobLabel != "", families: map[string]*family{}, jobs: map[string][]*family{}}
	if c.JobLabel != "" {
		s.converter.Labels = s.withJob
	}
	return s
}

// Write puts the batch on the page. It does not wait for scrapes.
func (s *sink) Write(_ context.Context, b metric.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.store.put(&b)
	active := s.active(time.Now())
	for _, f := range changed {
		s.render(f, active)
	}
	for _, r := range active {
		s.publish(r)
	}
	s.count(b.Job, changed)
	return nil
}

// page returns the current page of a variant. If the variant has no rendering yet, page adds one first.
func (s *sink) page(v variant) *page {
	r := (*s.renderings.Load())[v]
	if r == nil {
		r = s.add(v)
	}
	r.requestedAt.Store(time.Now().Unix())
	return r.page.Load()
}

// add adds a rendering. If there are then more than maxRenderings renderings, add removes those whose last request is the longest ago.
func (s *sink) add(v variant) *rendering {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := (*s.renderings.Load())[v]; r != nil {
		return r // another request has added it meanwhile
	}
	r := newRendering(v, s.config.CreatedSeries)
	for _, f := range s.store.sorted {
		s.render(f, []*rendering{r})
	}
	s.publish(r)
	now := time.Now()
	r.requestedAt.Store(now.Unix())
	active := s.active(now)
	all := map[variant]*rendering{v: r}
	for _, other := range active[max(0, len(active)-maxRenderings+1):] {
		all[other.variant] = other
	}
	s.renderings.Store(&all)
	return r
}

// active returns the renderings in the order of their last requests. Before that, it removes those that were not requested during the time
// forgetAfter.
func (s *sink) active(now time.Time) []*rendering {
	all := maps.Clone(*s.renderings.Load())
	n := len(all)
	maps.DeleteFunc(all, func(_ variant, r *rendering) bool {
		return r.requestedAt.Load() < now.Add(-forgetAfter).Unix()
	})
	if len(all) < n {
		s.renderings.Store(&all)
	}
	return slices.SortedFunc(maps.Values(all), func(a, b *rendering) int { return int(a.requestedAt.Load() - b.requestedAt.Load()) })
}

// render renders a family for these renderings.
func (s *sink) render(f *family, renderings []*rendering) {
	if len(renderings) == 0 {
		return
	}
	for _, r := range renderings {
		r.encoder.begin()
	}
	for i := range f.shown {
		p := &f.shown[i]
		s.job = p.job
		for series := range slices.Chunk(p.Series, chunk) {
			s.renderChunk(f.isLegacy, p.Desc, series, renderings)
		}
	}
	for _, r := range renderings {
		if piece := r.encoder.end(); len(f.shown) == 0 {
			delete(r.pieces, f)
		} else {
			r.pieces[f] = piece
		}
	}
}

// renderChunk renders some series of a family.
func (s *sink) renderChunk(isLegacy bool, d *metric.Desc, series []metric.Series, renderings []*rendering) {
	s.converter.Reset()
	isPlain := isLegacy && isPlain(d, series)
	var message *dto.MetricFamily // nil = not needed yet
	for _, r := range renderings {
		if isPlain && r.encoder.writesPlain(d) {
			rest := series
			if !r.encoder.begun {
				s.encode(r, s.message(d, series[:1]), isLegacy)
				rest = series[1:]
			}
			r.encoder.addPlain(d.Name, rest, s.converter.Labels)
			continue
		}
		if message == nil {
			message = s.message(d, series)
		}
		s.encode(r, message, isLegacy)
	}
}

// message returns the message for some series of a family.
func (s *sink) message(d *metric.Desc, series []metric.Series) *dto.MetricFamily {
	m := s.converter.Family(&metric.Family{Desc: d, Series: series})
	toValidUTF8(m)
	return m
}

// encode adds a message to a rendering.
func (s *sink) encode(r *rendering, message *dto.MetricFamily, isLegacy bool) {
	if err := r.encoder.add(message, isLegacy); err != nil {
		s.env.Log.Error(err.Error())
	}
}

// publish makes the page of a rendering. It logs a warning when series become hidden and none were hidden before.
func (s *sink) publish(r *rendering) {
	before := r.hidden
	if r.publish(s.store.sorted); r.hidden > 0 && before == 0 {
		s.env.Log.Warn("escaped names collide: series are missing for scrapers that do not accept UTF-8 names",
			"escaping", r.encoder.escape.scheme.String(), "series", r.hidden)
	}
}

// count counts the series of the batch that are on the page and those that are not. It logs the first series that is not on the page, if
// this is another series than before.
func (s *sink) count(job string, changed []*family) {
	var sent, lost int
	var first string
	for _, f := range changed {
		for i := range f.shown {
			if f.shown[i].job == job {
				sent += len(f.shown[i].Series)
			}
		}
		for _, d := range f.dropped {
			if d.job != job {
				continue
			}
			s.env.Stats.Drop(d.reason, d.series)
			lost += d.series
			if first == "" {
				first = f.name + ": " + d.text
			}
		}
	}
	s.env.Stats.Sent.Add(int64(sent))
	if first == s.warned[job] {
		return
	}
	if s.warned[job] = first; first == "" {
		delete(s.warned, job)
		s.env.Log.Info("all series of the job are on the page again", "job", job)
		return
	}
	s.env.Log.Warn("series are not on the page", "job", job, "series", lost, "first", first)
}

// withJob appends the labels of a series and the job label to a slice, all sorted by name. A label of the series that has the name of the
// job label is renamed to exported_NAME, as in Prometheus.
func (s *sink) withJob(into, own []metric.Label) []metric.Label {
	n := len(into)
	into = append(into, metric.Label{Name: s.config.JobLabel, Value: s.job})
	for _, l := range own {
		if l.Name == s.config.JobLabel {
			for hasLabel(own, l.Name) {
				l.Name = "exported_" + l.Name
			}
		}
		into = append(into, l)
	}
	slices.SortFunc(into[n:], func(a, b metric.Label) int { return strings.Compare(a.Name, b.Name) })
	return into
}

func hasLabel(labels []metric.Label, name string) bool {
	return slices.ContainsFunc(labels, func(l metric.Label) bool { return l.Name == name })
}

// toValidUTF8 replaces invalid UTF-8 in the help and in label values, since a scraper would refuse the whole page.
func toValidUTF8(f *dto.MetricFamily) {
	valid := func(text *string) *string {
		if text == nil || utf8.ValidString(*text) {
			return text
		}
		replaced := strings.ToValidUTF8(*text, "\uFFFD")
		return &replaced
	}
	f.Help = valid(f.Help)
	for _, m := range f.Metric {
		for _, l := range m.Label {
			l.Value = valid(l.Value)
		}
	}
}
