package receive

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/collectington/collectington/agent/metric"
)

// TestAdder checks which labels a series gets. The pointers to its label set and its description stay the same. If two series become equal,
// only one remains.
func TestAdder(t *testing.T) {
	a := newAdder(map[string]string{"site": "oslo", "a": "1"})
	d := &metric.Desc{Name: "up", LabelNames: []string{"job"}}
	plain := metric.NewLabelSet(metric.Labels{{Name: "job", Value: "x"}})
	other := metric.NewLabelSet(metric.Labels{{Name: "job", Value: "x"}, {Name: "site", Value: "bergen"}})
	same := metric.NewLabelSet(metric.Labels{{Name: "job", Value: "x"}, {Name: "site", Value: "oslo"}})
	measure := func() metric.Measured {
		r := metric.Readings{{Desc: d, Series: []metric.Series{{Labels: plain, Value: 1}, {Labels: other, Value: 2}, {Labels: same, Value: 3}}}}
		a.toAll(r)
		return r[0]
	}
	first, second := measure(), measure()
	var got []string
	for _, s := range first.Series {
		got = append(got, s.Labels.String())
	}
	if diff := cmp.Diff([]string{`{a="1",job="x",site="oslo"}`, `{a="1",job="x",site="bergen"}`}, got); diff != "" {
		t.Error(diff)
	}
	if len(first.Drops) != 1 || first.Drops[0].Reason != metric.Duplicate || first.Drops[0].Count != 1 {
		t.Errorf("drops are %v", first.Drops)
	}
	if diff := cmp.Diff([]string{"a", "job", "site"}, first.Desc.LabelNames); diff != "" {
		t.Error(diff)
	}
	if first.Desc != second.Desc || first.Series[0].Labels != second.Series[0].Labels {
		t.Error("the description or a set has another pointer in the next run")
	}
	if d.LabelNames[0] != "job" || len(d.LabelNames) != 1 {
		t.Errorf("the description without labels is changed: %v", d.LabelNames)
	}
	stream := metric.Stream{{Labels: []metric.Label{{Name: "__name__", Value: "up"}, {Name: "site", Value: "bergen"}}}}
	a.toStream(stream)
	if got := metric.Labels(stream[0].Labels).String(); got != `{__name__="up",a="1",site="bergen"}` {
		t.Errorf("the labels of a stream are %s", got)
	}
	none := newAdder(nil)
	untouched := metric.Readings{{Desc: d, Series: []metric.Series{{Labels: plain}}}}
	if none.toAll(untouched); untouched[0].Desc != d || untouched[0].Series[0].Labels != plain {
		t.Error("a job without labels changes something")
	}
}
