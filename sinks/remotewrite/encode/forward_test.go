package encode

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// TestForward checks that samples of other senders go into requests unchanged, with the same order, times, values and markers. Only their
// labels change: external labels are added, and relabelling is done.
func TestForward(t *testing.T) {
	for _, p := range []wire.Protocol{wire.V1, wire.V2} {
		dropped := map[metric.Reason]int{}
		e := New(Options{
			Target: func(string) []metric.Label { return []metric.Label{{Name: "job", Value: "ours"}} }, External: []metric.Label{{Name: "job", Value: "external"}, {Name: "site", Value: "oslo"}},
			Shards: 2, MaxSamples: 3, Dropped: func(r metric.Reason, n int) { dropped[r] += n },
			Relabel: []*relabel.Config{{SourceLabels: nil, Regex: relabel.MustNewRegexp("drop_me"), Action: relabel.LabelDrop}},
		}, time.Now())
		family := &metric.Desc{Name: "a_total", Type: metric.Counter, Help: "As."}
		now := time.Now().UnixMilli()
		a := []metric.Label{{Name: "__name__", Value: "a_total"}, {Name: "drop_me", Value: "x"}, {Name: "job", Value: "theirs"}}
		stream := metric.Stream{
			{Labels: a, Family: family, Samples: []metric.StreamSample{{Time: now, Value: 5, Start: now - 9}, {Time: now - 2, Value: 4}, {Time: now - 2, Value: 4}, {Time: now + 1, Value: staleNaN()}}},
			{Labels: a, Exemplars: []metric.Exemplar{{Labels: []metric.Label{{Name: "trace", Value: "t"}}, Value: 1, Time: now}}},
			{Labels: a, Samples: []metric.StreamSample{{Time: now + maxAhead.Milliseconds() + 60_000}}},
			{Labels: []metric.Label{{Name: "__name__", Value: "took"}}, Samples: []metric.StreamSample{{Time: now, Histogram: &metric.HistogramValue{Sum: staleNaN(), Native: &metric.NativeBuckets{}}}}},
		}
		for range 2 { // the same samples are also accepted a second time: these are not samples of a batch
			got := map[string][]string{}
			for _, r := range e.Forward(stream, Format{Protocol: p, MaxBytes: 1 << 20}) {
				raw, err := snappy.Decode(nil, r.Payload)
				if err != nil {
					t.Fatal(err)
				}
				q, err := wire.Decode(p, raw)
				if err != nil {
					t.Fatal(err)
				}
				if q.Counts.Total() > 3 || q.Counts.Samples != r.Samples || q.Counts.Exemplars != r.Exemplars {
					t.Errorf("%s: counts %+v, the record has %+v", p, q.Counts, r.Meta)
				}
				for i := range q.Items() {
					text := fmt.Sprintf("%d:%x", i.Time-now, math.Float64bits(i.Value))
					if i.Histogram != nil {
						text = fmt.Sprintf("%d:h%x", i.Time-now, math.Float64bits(i.Histogram.Sum))
					}
					if i.Kind == wire.Exemplar {
						text = fmt.Sprintf("%d@%v", i.Time-now, i.Value)
					}
					got[i.Labels.String()] = append(got[i.Labels.String()], text)
				}
			}
			text := strings.Join(got[`{__name__="a_total",job="theirs",site="oslo"}`], " ")
			if text != "0:4014000000000000 -2:4010000000000000 -2:4010000000000000 1:7ff0000000000002 0@1" {
				t.Errorf("%s: a_total is %s of %v", p, text, got)
			}
			if text := strings.Join(got[`{__name__="took",job="external",site="oslo"}`], " "); text != "0:h7ff0000000000002" {
				t.Errorf("%s: took is %s of %v", p, text, got)
			}
		}
		if dropped[metric.Future] != 2 || len(dropped) != 1 || len(e.Jobs()) != 0 {
			t.Errorf("%s: dropped %v, jobs %q", p, dropped, e.Jobs())
		}
	}
}
