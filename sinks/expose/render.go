package expose

import (
	"slices"
	"strings"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"

	"github.com/collectington/collectington/agent/metric"
)

// render makes the family's piece anew in these editions.
func (s *sink) render(f *family, editions []*edition) {
	if len(editions) == 0 {
		return
	}
	for _, e := range editions {
		e.encoder.begin()
	}
	for i := range f.shown {
		p := &f.shown[i]
		s.job = p.job
		for series := range slices.Chunk(p.Series, chunk) {
			s.converter.Reset()
			message := s.converter.Family(&metric.Family{Desc: p.Desc, Series: series})
			clean(message)
			for _, e := range editions {
				if err := e.encoder.add(message, f.legacy); err != nil {
					s.env.Log.Error(err.Error())
				}
			}
		}
	}
	for _, e := range editions {
		if made := e.encoder.end(); len(f.shown) == 0 {
			delete(e.pieces, f)
		} else {
			e.pieces[f] = made
		}
	}
}

// clean replaces text that is not UTF-8, for which a scraper would refuse the whole page.
func clean(f *dto.MetricFamily) {
	valid := func(text *string) *string {
		if text == nil || utf8.ValidString(*text) {
			return text
		}
		better := strings.ToValidUTF8(*text, "\uFFFD")
		return &better
	}
	f.Help = valid(f.Help)
	for _, m := range f.Metric {
		for _, l := range m.Label {
			l.Value = valid(l.Value)
		}
	}
}

// withJob appends a series' labels and the job's name, sorted by name. A label of the series that has the name already
// becomes exported_NAME, as in Prometheus.
func (s *sink) withJob(into, own []metric.Label) []metric.Label {
	n := len(into)
	into = append(into, metric.Label{Name: s.config.JobLabel, Value: s.job})
	for _, l := range own {
		if l.Name == s.config.JobLabel {
			for has(own, l.Name) {
				l.Name = "exported_" + l.Name
			}
		}
		into = append(into, l)
	}
	slices.SortFunc(into[n:], func(a, b metric.Label) int { return strings.Compare(a.Name, b.Name) })
	return into
}

func has(labels []metric.Label, name string) bool {
	return slices.ContainsFunc(labels, func(l metric.Label) bool { return l.Name == name })
}
