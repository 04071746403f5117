package deliver

import (
	"testing"

	"github.com/golang/snappy"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// TestProbeIsConverted checks that a probe is still a probe after its conversion to the other protocol. The samples of a probe are already
// counted.
func TestProbeIsConverted(t *testing.T) {
	table := wire.NewTable()
	s := table.Series([]metric.Label{{Name: "__name__", Value: "x"}}, &metric.Desc{Name: "x"})
	b := table.NewBuilder()
	b.Begin(wire.V2)
	b.Add(&s, 1, 2, 0)
	c := &chunk{protocol: wire.V2, packed: snappy.Encode(nil, b.End().Raw), counts: counts{samples: 1}}
	p := c.probe()
	for _, c := range []*chunk{c, p} {
		if err := c.convert(wire.V1); err != nil {
			t.Fatal(err)
		}
		if q, err := c.decode(); err != nil || q.Protocol != wire.V1 || q.Counts.Samples != 1 {
			t.Errorf("converted to %+v, %v", q, err)
		}
	}
	if c.counts.total() != 1 || !p.isProbe() {
		t.Errorf("the chunk counts %+v, the probe %+v", c.counts, p.counts)
	}
}
