package wire

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/collectington/collectington/agent/metric"
)

// FuzzEncode encodes random items with this package and with Prometheus' types. Prometheus must decode both to the same result, and Items
// must return the same items.
func FuzzEncode(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed, "room", "a\"\n\x00é")
	}
	f.Add(uint64(7), "", "")
	b := NewTable().NewBuilder() // the builder's memory is used again: nothing of one request must be left in the next
	f.Fuzz(func(t *testing.T, seed uint64, name, text string) {
		items := randomItems(rand.New(rand.NewPCG(seed, 3)), name, text)
		b.SetLayout(Layout(seed % 2))

		var ours1, theirs1Read prompb.WriteRequest
		q := build(b, V1, items)
		unmarshal(t, q.Raw, &ours1)
		unmarshal(t, marshal(t, theirs1(items)), &theirs1Read)
		same(t, "1.0", lines1(&theirs1Read), lines1(&ours1))

		var ours2, theirs2Read writev2.Request
		q = build(b, V2, items)
		unmarshal(t, q.Raw, &ours2)
		unmarshal(t, marshal(t, theirs2(items)), &theirs2Read)
		same(t, "2.0", lines2(&theirs2Read), lines2(&ours2))
		unique(t, q.Raw)
		read, err := itemsOf(q)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "2.0 read again", lines(items, V2), lines(read, V2))
		if got, err := Decode(V2, q.Raw); err != nil || got.Counts != q.Counts {
			t.Errorf("counts %+v, when it was built %+v, %v", got.Counts, q.Counts, err)
		}
	})
}

func marshal(t testing.TB, m interface{ Marshal() ([]byte, error) }) []byte {
	t.Helper()
	raw, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func unmarshal(t testing.TB, raw []byte, into proto.Message) {
	t.Helper()
	if err := proto.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

// unique checks that the symbols of a 2.0 request differ and that the first is "".
func unique(t *testing.T, raw []byte) {
	t.Helper()
	var q writev2.Request
	unmarshal(t, raw, &q)
	if q.Symbols[0] != "" {
		t.Errorf("the first string is %q", q.Symbols[0])
	}
	slices.Sort(q.Symbols)
	if n := len(q.Symbols); len(slices.Compact(q.Symbols)) < n {
		t.Errorf("some of %d strings are there twice", n)
	}
}

func seriesOf(t *Table, name string) *Series {
	return new(t.Series([]metric.Label{{Name: "__name__", Value: name}}, &metric.Desc{Name: name, Type: metric.Gauge, Help: "Of " + name}))
}

func TestCounts(t *testing.T) {
	table := NewTable()
	b := table.NewBuilder()
	x, y := seriesOf(table, "x"), seriesOf(table, "y")
	for _, p := range []Protocol{V1, V2} {
		b.Begin(p)
		b.AddHistogram(y, -7, &metric.HistogramValue{Native: &metric.NativeBuckets{}}, 0)
		b.Add(x, 5, 1, 0)
		b.Add(x, 6, 1, 0)
		b.AddExemplar(x, nil, 1, 100)
		b.Add(y, 2, 1, 0)
		want := Counts{Series: 3, Samples: 3, Histograms: 1, Exemplars: 1, Oldest: -7, Newest: 6}
		q := b.End()
		if q.Counts != want {
			t.Errorf("%s: counts %+v, want %+v", p, q.Counts, want)
		}
		if got := q.First(); got != `{__name__="y"}` || y.String() != got {
			t.Errorf("%s: the first series is %s", p, got)
		}
	}
	b.Begin(V1)
	if q := b.End(); len(q.Raw) != 0 || q.Counts != (Counts{}) || q.First() != "" {
		t.Errorf("an empty request is %+v", q)
	}
}

// TestForgottenLabels checks that a series that reuses the slots of a forgotten series has its own labels.
func TestForgottenLabels(t *testing.T) {
	table := NewTable()
	b := table.NewBuilder()
	family := &metric.Desc{Name: "x", Type: metric.Gauge}
	room := func(value string) *Series {
		return new(table.Series([]metric.Label{{Name: "__name__", Value: "x"}, {Name: "room", Value: value}}, family))
	}
	room("kept") // so that only the slot of the value is released
	b.Begin(V2)
	a := room("a")
	b.Add(a, 1, 2, 0)
	slots := a.refs
	a.Forget()
	again := room("b")
	if again.refs != slots {
		t.Fatal("the slots differ")
	}
	b.Add(again, 1, 2, 0)
	var q writev2.Request
	unmarshal(t, b.End().Raw, &q)
	for i, want := range []string{"a", "b"} {
		if refs := q.Timeseries[i].LabelsRefs; q.Symbols[refs[3]] != want {
			t.Errorf("series %d is of room %s, want %s", i, q.Symbols[refs[3]], want)
		}
	}
}

// TestForget checks that a forgotten series releases its strings, and that new strings in their slots have their own references,
// even in the same request.
func TestForget(t *testing.T) {
	table := NewTable()
	b := table.NewBuilder()
	b.Begin(V2)
	for _, name := range []string{"a", "b", "c"} {
		s := seriesOf(table, name)
		b.Add(s, 1, 2, 0)
		b.AddExemplar(s, []metric.Label{{Name: "id", Value: name}, {Name: "new" + name, Value: "other"}}, 1, 1)
		s.Forget()
	}
	if len(table.slots) != 1 || len(table.strings) > 6 || len(table.families) > 0 {
		t.Errorf("%d strings in %d slots and %d families are left, want \"\" alone", len(table.slots), len(table.strings), len(table.families))
	}
	b.Add(seriesOf(table, "a"), 2, 2, 0)
	q := b.End()
	unique(t, q.Raw)
	items, err := itemsOf(q)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range items {
		if i.Kind == Sample {
			got = append(got, i.Labels.String()+i.Family.Help)
		} else {
			got = append(got, i.ExemplarLabels[0].Value)
		}
	}
	want := []string{`{__name__="a"}Of a`, "a", `{__name__="b"}Of b`, "b", `{__name__="c"}Of c`, "c", `{__name__="a"}Of a`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other series (-want +got):\n%s", diff)
	}
}

// TestTableGrowsInAMessage checks that an exemplar may refer to a string that was added to the table after the message was begun.
func TestTableGrowsInAMessage(t *testing.T) {
	table := NewTable()
	b := table.NewBuilder()
	b.Begin(V2)
	x := seriesOf(table, "x")
	b.Add(x, 1, 2, 0)
	y := seriesOf(table, "y")
	b.AddExemplar(x, []metric.Label{{Name: "id", Value: "y"}}, 1, 1)
	b.Add(y, 1, 2, 0)
	if _, err := Decode(V2, b.End().Raw); err != nil {
		t.Error(err)
	}
}

func TestSeries(t *testing.T) {
	table := NewTable()
	labels := []metric.Label{{Name: "__name__", Value: "x"}, {Name: "a", Value: "1"}}
	s := table.Series(labels, &metric.Desc{})
	if !s.Equal(labels) || s.Equal(labels[:1]) || s.Equal([]metric.Label{labels[0], {Name: "a", Value: "2"}}) {
		t.Error("Equal does not tell equal labels from others")
	}
	if diff := cmp.Diff(labels, s.Labels(nil)); diff != "" {
		t.Error(diff)
	}
	a, known := table.Symbol("a")
	if text := table.Text(s.Value(a)); !known || text != "1" {
		t.Errorf("the value of a is %q, known is %t", text, known)
	}
	if missing, known := table.Symbol("b"); known || s.Value(missing) != 0 {
		t.Errorf("a label that no series has is %d, known is %t", missing, known)
	}
	for name, value := range s.Symbols() {
		if got, want := table.Text(value), map[string]string{"__name__": "x", "a": "1"}[table.Text(name)]; got != want {
			t.Errorf("label %s is %q, want %q", table.Text(name), got, want)
		}
	}
}

// TestAllBits checks that all bits of a number are kept, such as those of a negative zero and a NaN.
func TestAllBits(t *testing.T) {
	table := NewTable()
	b := table.NewBuilder()
	x := seriesOf(table, "x")
	for _, p := range []Protocol{V1, V2} {
		for _, v := range []float64{math.Copysign(0, -1), stale(), math.Float64frombits(0x7ff8000000000001)} {
			b.Begin(p)
			b.Add(x, 1, v, 0)
			items, err := itemsOf(b.End())
			if err != nil || math.Float64bits(items[0].Value) != math.Float64bits(v) {
				t.Errorf("%s: %x is read as %v, %v", p, math.Float64bits(v), items, err)
			}
		}
	}
}

func TestBeginResets(t *testing.T) {
	table := NewTable()
	b := table.NewBuilder()
	x, y := seriesOf(table, "x"), seriesOf(table, "y")
	one := func(s *Series, p Protocol) []byte {
		b.Begin(p)
		b.Add(s, 1, 2, 3)
		b.AddExemplar(s, []metric.Label{{Name: "id", Value: "1"}}, 1, 1)
		b.AddMetadata(&metric.Desc{Name: "m", Help: "h"})
		return bytes.Clone(b.End().Raw)
	}
	for _, p := range []Protocol{V1, V2} {
		first := one(x, p)
		one(y, V1)
		one(y, V2)
		b.Begin(V2)
		b.Add(y, 1, 2, 3) // and never ended
		if again := one(x, p); !bytes.Equal(first, again) {
			t.Errorf("%s: %q, at first %q", p, again, first)
		}
	}
}

// TestManyStrings checks that a series returns its strings even if the numbers of their slots take several bytes.
func TestManyStrings(t *testing.T) {
	table := NewTable()
	var all []Series
	var want []metric.Labels
	for i := range 20_000 { // slots of one byte, two and three
		labels := metric.Labels{{Name: "__name__", Value: "a"}, {Name: "id", Value: strconv.Itoa(i)}}
		all, want = append(all, table.Series(labels, &metric.Desc{})), append(want, labels)
	}
	for i := range all {
		if got := all[i].Labels(nil); !slices.Equal(got, want[i]) || !all[i].Equal(want[i]) || all[i].Equal(want[i][:1]) {
			t.Fatalf("series %d has the labels %v, want %v", i, got, want[i])
		}
	}
}
