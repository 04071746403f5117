package expose

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/prometheus/common/expfmt"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// fleet returns a batch of n series in ten families, with three labels each.
func fleet(n int) metric.Batch {
	b := metric.Batch{Job: "fleet"}
	for i := range 10 {
		d := &metric.Desc{Name: fmt.Sprintf("fleet_metric_%d", i), Help: "One of ten.", Type: metric.Gauge, LabelNames: []string{"host", "region", "unit"}}
		f := metric.Family{Desc: d}
		for j := range n / 10 {
			labels := d.LabelSet([]string{fmt.Sprintf("host-%06d.example.com", j), fmt.Sprintf("eu-west-%d", j%7), fmt.Sprint(j % 13)})
			f.Series = append(f.Series, metric.Series{Labels: labels, Value: float64(j) * 1.25})
		}
		b.Families = append(b.Families, f)
	}
	return b
}

func idleSink() *sink {
	env := sinks.Env{Log: slog.New(slog.DiscardHandler), Stats: new(sinks.Stats), Web: new(httpclient.Host)}
	return newSink(defaults(), env)
}

// BenchmarkPage30000 measures one Write of 30,000 series, for each variant that can be rendered. The case "written out" runs nothing but
// expfmt's encoder, for comparison.
func BenchmarkPage30000(b *testing.B) {
	batch := fleet(30_000)
	for name, format := range map[string]expfmt.Format{"text": expfmt.FmtText, "openmetrics": expfmt.FmtOpenMetrics_1_0_0, "protobuf": expfmt.FmtProtoDelim} {
		format += "; escaping=allow-utf-8"
		b.Run(name+"/written out", func(b *testing.B) {
			b.ReportAllocs()
			var c metric.Converter
			for b.Loop() {
				e := expfmt.NewEncoder(io.Discard, format)
				for i := range batch.Families {
					c.Reset()
					if err := e.Encode(c.Family(&batch.Families[i])); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
		for _, zipped := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/gzip=%t", name, zipped), func(b *testing.B) {
				b.ReportAllocs()
				s := idleSink()
				s.page(variant{format, zipped})
				for b.Loop() {
					if err := s.Write(context.Background(), batch); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(s.page(variant{format, zipped}).size), "page-bytes")
			})
		}
	}
}

// BenchmarkTickOfOneJob measures one Write of one job. The page has ten jobs with 3,000 series each, so it has 30,000 series. The case
// "whole page" is the same Write without gzip, followed by [compress/gzip] over the page.
func BenchmarkTickOfOneJob(b *testing.B) {
	all := fleet(30_000)
	for _, c := range []struct {
		name        string
		gzip, whole bool
	}{{"no gzip", false, false}, {"gzip", true, false}, {"whole page", false, true}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			s, v := idleSink(), variant{expfmt.FmtText + "; escaping=allow-utf-8", c.gzip}
			s.page(v)
			write := func(i int) {
				batch := metric.Batch{Job: fmt.Sprint("job-", i), Families: all.Families[i : i+1]}
				if err := s.Write(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
			}
			for i := range all.Families {
				write(i)
			}
			var out bytes.Buffer
			z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				write(3)
				if !c.whole {
					continue
				}
				out.Reset()
				z.Reset(&out)
				for _, part := range s.page(v).body {
					_, _ = z.Write(part)
				}
				_ = z.Close()
			}
			b.ReportMetric(float64(s.page(v).size), "kept-bytes")
		})
	}
}
