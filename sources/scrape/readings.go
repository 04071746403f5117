package scrape

import (
	"github.com/collectington/collectington/agent/metric"
)

// reports is how many series Prometheus makes of each scrape.
const reports = 5

func reportKey(i int) familyKey {
	all := [reports][2]string{
		{"up", "1 where the target could be scraped."},
		{"scrape_duration_seconds", "How long the scrape took."},
		{"scrape_samples_scraped", "Samples that the target has shown."},
		{"scrape_samples_post_metric_relabeling", "Samples left after relabelling."},
		{"scrape_series_added", "Series that the scrape before did not have."},
	}
	return familyKey{about: about{name: all[i][0], help: all[i][1], typ: metric.Gauge}}
}

// openReport makes the series about a target's scrapes.
func (s *source) openReport(t *target) {
	for i := range t.report {
		f := s.acquire(reportKey(i), t.set)
		x := &series{about: &f.key.about, target: t, family: f, labels: t.set, number: &entry{}, report: true}
		x.hash = s.hashOf(identity{name: f.key.name}, appendLabels(nil, t.labels, ""))
		if s.series[x.hash] == nil {
			s.series[x.hash] = x
		}
		t.report[i] = x
	}
}

func (s *source) closeReport(t *target) {
	for _, x := range t.report {
		if s.series[x.hash] == x {
			delete(s.series, x.hash)
		}
		s.release(x.family)
	}
}

func (t *target) fillReport() {
	up, added := 1.0, float64(t.added)
	if t.err != nil {
		up, added = 0, 0
	}
	for i, v := range [reports]float64{up, t.took.Seconds(), float64(t.scraped), float64(t.kept), added} {
		t.report[i].number.value = v
	}
}

// output keeps its memory from tick to tick; the series themselves are a batch's and new each time.
type output struct {
	families []*family
	readings metric.Readings
}

// readings is what the tick shows, family by family, with what is wrong beside them.
func (s *source) readings(problem error) metric.Readings {
	out, total := &s.outputs, 0
	out.families = out.families[:0]
	s.each(func(x *series) {
		f := x.family
		if f.tick != s.scrape {
			f.tick, f.count = s.scrape, 0
			out.families = append(out.families, f)
		}
		f.count++
		total++
	})
	block := make([]metric.Series, total)
	for _, f := range out.families {
		f.series, block = block[:0:f.count], block[f.count:]
	}
	s.each(func(x *series) { x.family.series = append(x.family.series, x.ready(s.scrape)) })
	clear(out.readings)
	out.readings = append(out.readings[:0], metric.Measured{
		Desc: s.up.describe(), Series: []metric.Series{}, Err: problem, Drops: s.drops,
	})
	for _, f := range out.families {
		if f == s.up {
			out.readings[0].Series = f.series
		} else {
			out.readings = append(out.readings, metric.Measured{Desc: f.describe(), Series: f.series})
		}
		f.series = nil
	}
	return out.readings
}

// each goes through all series that the tick shows, in an order that stays the same while they do.
func (s *source) each(f func(*series)) {
	for _, t := range s.targets {
		for _, x := range t.report {
			f(x)
		}
		for _, x := range t.shown {
			f(x)
		}
	}
}
