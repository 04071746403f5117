package groups

import (
	"testing"

	"github.com/collectington/collectington/agent/metric"
)

// TestForgetIsOfTheGroup checks that removing a group from the index leaves the series that now belong to another group. That holds for any
// order in which groups are restored.
func TestForgetIsOfTheGroup(t *testing.T) {
	x := newIndex()
	family := func() *Family {
		d := &metric.Desc{Name: "up", Type: metric.Gauge}
		return &Family{Name: "up", Type: metric.Gauge, Parts: []metric.Family{{Desc: d, Series: []metric.Series{{Labels: d.LabelSet(nil)}}}}}
	}
	of := func(key string) *Group { return &Group{key: key, Families: []*Family{family()}} }
	a, b := of("a"), of("b")
	x.replace(nil, b) // the series has moved from a to b, and both are undone: a is restored before b goes
	x.replace(nil, a)
	x.replace(b, nil)
	if key := x.series[x.hash("up", a.Families[0].Parts[0].Series[0].Labels)]; key != "a" {
		t.Errorf("the series is of group %q, want a", key)
	}
}
