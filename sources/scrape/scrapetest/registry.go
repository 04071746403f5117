// Package scrapetest has an exporter for tests of scrapes.
package scrapetest

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
)

// Registry returns metrics of every type. Their values, labels and names are at the limits of what the formats allow.
func Registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "calls_total", Help: `Calls "by" code \ all.`}, []string{"code"})
	c.WithLabelValues("200").(prometheus.ExemplarAdder).AddWithExemplar(1<<53-1, prometheus.Labels{"trace_id": "abc"})
	c.WithLabelValues("a\"b\\c\nd").Inc()
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "temp_celsius", Help: "Temperature."}, []string{"job", "instance"})
	g.WithLabelValues("mine", "too").Set(math.Inf(-1))
	g.WithLabelValues("nan", "x").Set(math.NaN())
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "took_seconds", Help: "Took.", Buckets: []float64{.5, 1, 1e6}}, []string{"path"})
	s := prometheus.NewSummaryVec(prometheus.SummaryOpts{Name: "size_bytes", Help: "Size.", Objectives: map[float64]float64{.5: .05, .99: .001}}, []string{"kind"})
	n := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "native_seconds", Help: "Native.", NativeHistogramBucketFactor: 1.1})
	both := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "both_seconds", Help: "Both.", NativeHistogramBucketFactor: 1.1, Buckets: []float64{1, 2}})
	for i := range 50 {
		v := float64(i*i) / 7
		h.WithLabelValues("/a").Observe(v)
		h.WithLabelValues("/b").Observe(-v)
		s.WithLabelValues("x").Observe(v)
		n.Observe(v - 100)
		both.(prometheus.ExemplarObserver).ObserveWithExemplar(v, prometheus.Labels{"trace_id": "def"})
	}
	u := prometheus.NewUntypedFunc(prometheus.UntypedOpts{Name: "whatever", Help: "No type."}, func() float64 { return -0.25 })
	utf := prometheus.NewGauge(prometheus.GaugeOpts{Name: "größe.total", Help: "Name in UTF-8.", ConstLabels: prometheus.Labels{"straße": "ß"}})
	utf.Set(3)
	r.MustRegister(c, g, h, s, n, both, u, utf)
	return r
}
