package scrape

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
)

// largeRegistry has 20,000 numbers and 1,000 histograms of 8 buckets: 30,000 samples and 21,000 series.
func largeRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	for i := range 100 {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: fmt.Sprintf("bench_%d_total", i), Help: "A counter."}, []string{"method", "code", "path"})
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: fmt.Sprintf("bench_%d_bytes", i), Help: "A gauge."}, []string{"device", "fstype", "mountpoint"})
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: fmt.Sprintf("bench_%d_seconds", i), Help: "A histogram.", Buckets: []float64{.01, .05, .1, .5, 1, 5, 10},
		}, []string{"handler"})
		for j := range 100 {
			c.WithLabelValues("GET", "200", fmt.Sprintf("/api/v1/thing/%d", j)).Add(float64(j))
			g.WithLabelValues(fmt.Sprintf("/dev/sd%d", j), "ext4", fmt.Sprintf("/mnt/%d", j)).Set(float64(i * j))
		}
		for j := range 10 {
			h.WithLabelValues(fmt.Sprintf("/handler/%d", j)).Observe(float64(j))
		}
		r.MustRegister(c, g, h)
	}
	return r
}

// BenchmarkPage turns a known page into readings, without the network.
func BenchmarkPage(b *testing.B) {
	for _, format := range []expfmt.Format{expfmt.FmtProtoDelim, expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtText} {
		b.Run(strings.NewReplacer("/", "_", ";", "").Replace(string(format)[:20]), func(b *testing.B) {
			families, err := largeRegistry().Gather()
			if err != nil {
				b.Fatal(err)
			}
			var text bytes.Buffer
			encoder := expfmt.NewEncoder(&text, format)
			for _, f := range families {
				if err := encoder.Encode(f); err != nil {
					b.Fatal(err)
				}
			}
			if c, ok := encoder.(expfmt.Closer); ok {
				if err := c.Close(); err != nil {
					b.Fatal(err)
				}
			}
			s := sourceOf(b, func(c *Config) { c.Targets = addresses(b, "http://bench:1") })
			s.discover(b.Context(), tickAt(time.Now()))
			cache, now := s.caches[0], time.Now().UnixMilli()
			one := func() {
				s.pool.Begin(now)
				if err := cache.Begin().Finish(text.Bytes(), string(format)); err != nil {
					b.Fatal(err)
				}
				cache.SetGauges(1)
				s.pool.Readings(s.caches, nil)
			}
			one()
			n := cache.Scraped
			b.ReportAllocs()
			for b.Loop() {
				one()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/sample")
			b.ReportMetric(float64(n), "samples")
		})
	}
}

// BenchmarkScrape scrapes an exporter over the network.
func BenchmarkScrape(b *testing.B) {
	server := httptest.NewServer(promhttp.HandlerFor(prometheus.Gatherers{largeRegistry()}, promhttp.HandlerOpts{}))
	defer server.Close()
	s := sourceOf(b, func(c *Config) { c.Targets = addresses(b, server.URL) })
	for b.Loop() {
		if _, err := s.Collect(b.Context(), tickAt(time.Now())); err != nil {
			b.Fatal(err)
		}
	}
}
