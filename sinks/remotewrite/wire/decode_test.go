package wire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/collectington/collectington/agent/metric"
)

// requests calls the function "test" with random requests and the items in them.
func requests(test func(seed uint64, p Protocol, q Request, items []Item)) {
	b := NewTable().NewBuilder()
	for seed := range uint64(60) {
		for _, p := range []Protocol{V1, V2} {
			items := randomItems(rand.New(rand.NewPCG(seed, 4)), "room", "ü")
			test(seed, p, build(b, p, items), items)
		}
	}
}

// TestRewrite rewrites requests in 1.0 and then in 2.0 again. The first result must equal a request that was built in 1.0. The second
// result must have lost nothing but start timestamps.
func TestRewrite(t *testing.T) {
	other := NewTable().NewBuilder()
	requests(func(seed uint64, p Protocol, q Request, items []Item) {
		down, err := q.Rewrite(V1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := build(other, V1, items); p == V2 && !bytes.Equal(down.Raw, want.Raw) {
			t.Errorf("seed %d: from 2.0 it becomes\n%q\nwant\n%q", seed, down.Raw, want.Raw)
		}
		up, err := down.Rewrite(V2, nil)
		if err != nil {
			t.Fatal(err)
		}
		read, err := itemsOf(up)
		if err != nil {
			t.Fatal(err)
		}
		for i := range read {
			read[i].Family, items[i].Family = &metric.Desc{}, &metric.Desc{} // names are not unique: see TestFamilies
		}
		same(t, fmt.Sprintf("seed %d: %s and back", seed, p), lines(items, V1), lines(read, V2))
	})
}

func TestRewriteKeeps(t *testing.T) {
	requests(func(seed uint64, p Protocol, q Request, items []Item) {
		keep := func(i *Item) bool { return i.Labels.Get("a") != "1" && i.Time >= 0 }
		got, err := q.Rewrite(p, keep)
		if err != nil {
			t.Fatal(err)
		}
		var want []Item
		for _, i := range items {
			if keep(&i) {
				want = append(want, i)
			}
		}
		read, err := itemsOf(got)
		if err != nil {
			t.Fatal(err)
		}
		for i := range read {
			want[i].Series = read[i].Series // messages that are left out are not counted
			if p == V1 {
				read[i].Family, want[i].Family = &metric.Desc{}, &metric.Desc{}
			}
		}
		same(t, fmt.Sprintf("seed %d in %s", seed, p), lines(want, p), lines(read, p))
		if n := got.Counts.Samples + got.Counts.Histograms + got.Counts.Exemplars; n != len(want) {
			t.Errorf("seed %d in %s: %d are counted of %d", seed, p, n, len(want))
		}
	})
}

// TestSplit checks that repeated splitting ends with requests of one item each, in the original order.
func TestSplit(t *testing.T) {
	requests(func(seed uint64, p Protocol, q Request, items []Item) {
		var got []Item
		var divide func(q Request, depth int)
		divide = func(q Request, depth int) {
			read, err := itemsOf(q)
			if err != nil {
				t.Fatal(err)
			}
			first, second, err := q.Split()
			if err != nil {
				t.Fatal(err)
			}
			if second.Counts.Series == 0 {
				if len(read) > 1 {
					t.Fatalf("seed %d: %d items are left undivided", seed, len(read))
				}
				got = append(got, read...)
				return
			}
			if depth > len(items) {
				t.Fatalf("seed %d: it never ends", seed)
			}
			divide(first, depth+1)
			divide(second, depth+1)
		}
		divide(q, 0)
		if len(got) != len(items) {
			t.Fatalf("seed %d in %s: %d items of %d", seed, p, len(got), len(items))
		}
		for i := range got {
			got[i].Series = items[i].Series
			if p == V1 {
				got[i].Family = items[i].Family
			}
		}
		same(t, fmt.Sprintf("seed %d in %s", seed, p), lines(items, p), lines(got, p))
	})
}

func TestSplitPlaces(t *testing.T) {
	table := NewTable()
	b := table.NewBuilder()
	for _, c := range []struct {
		samples       []int // of each series
		first, second int
	}{
		{nil, 0, 0},
		{[]int{1}, 1, 0},
		{[]int{5}, 3, 2},
		{[]int{1, 1, 1, 1}, 2, 2},
		{[]int{3, 3, 3}, 6, 3},
		{[]int{1, 98, 1}, 1, 99},
		{[]int{10, 40, 50}, 50, 50},
	} {
		b.Begin(V2)
		for i, n := range c.samples {
			s := seriesOf(table, strings.Repeat("x", i+1))
			for k := range n {
				b.Add(s, int64(k), 1, 0)
			}
		}
		first, second, err := b.End().Split()
		if err != nil || first.Counts.Samples != c.first || second.Counts.Samples != c.second {
			t.Errorf("%v is divided into %d and %d, %v", c.samples, first.Counts.Samples, second.Counts.Samples, err)
		}
	}
}

// TestFamilies checks that in 1.0, the family of a series is found by the name of the series.
func TestFamilies(t *testing.T) {
	table := NewTable()
	b := table.NewBuilder()
	families := []*metric.Desc{
		{Name: "h", Type: metric.Histogram, Help: "H"},
		{Name: "s", Type: metric.Summary, Unit: "u"},
		{Name: "g_count", Type: metric.Gauge},
		{Name: "g", Type: metric.Histogram},
		{Name: "silent"},
	}
	label := func(text string) []metric.Label {
		name, own, _ := strings.Cut(text, " ")
		labels := []metric.Label{{Name: "__name__", Value: name}}
		if own != "" {
			labels = append(labels, metric.Label{Name: own, Value: "1"})
		}
		return labels
	}
	want := map[string]*metric.Desc{
		"h_bucket le": families[0], "h_sum": families[0], "h_count": families[0],
		"s quantile": families[1], "s_sum": families[1], "s_count": families[1],
		"g_count": families[2], "silent": families[4], "g_bucket le": families[3],
	}
	for _, p := range []Protocol{V1, V2} {
		b.Begin(p)
		for _, f := range families {
			b.AddMetadata(f)
		}
		var names []string
		for text, f := range want {
			names = append(names, text)
			b.Add(new(table.Series(label(text), f)), 1, 1, 0)
		}
		native := new(table.Series(label("n_sum"), &metric.Desc{Name: "n_sum", Type: metric.Histogram}))
		b.AddHistogram(native, 1, &metric.HistogramValue{Native: &metric.NativeBuckets{}}, 0)
		items, err := itemsOf(b.End())
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range names {
			if diff := cmp.Diff(want[text], items[i].Family); diff != "" {
				t.Errorf("%s: family of %s (-want +got):\n%s", p, text, diff)
			}
		}
		if got := items[len(names)].Family.Name; got != "n_sum" {
			t.Errorf("%s: family of a native histogram n_sum is %s", p, got)
		}
	}
}

// agrees checks one request: if this package decodes it, Prometheus must decode it too, with the same result.
func agrees(t *testing.T, p Protocol, raw []byte) {
	t.Helper()
	q, err := Decode(p, raw)
	if err != nil {
		if !strings.HasPrefix(err.Error(), "decode a remote-write request") || len(err.Error()) > 200 {
			t.Errorf("the error is %q", err)
		}
		return
	}
	if first, second, err := q.Split(); err == nil {
		sum := first.Counts.Samples + first.Counts.Histograms + second.Counts.Samples + second.Counts.Histograms
		if sum != q.Counts.Samples+q.Counts.Histograms {
			t.Errorf("of %+v it makes %+v and %+v", q.Counts, first.Counts, second.Counts)
		}
	}
	again, err := q.Rewrite(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	if p == V1 {
		var a, b prompb.WriteRequest
		unmarshal(t, raw, &a)
		unmarshal(t, again.Raw, &b)
		empty := func(ts prompb.TimeSeries) bool { return len(ts.Samples)+len(ts.Histograms)+len(ts.Exemplars) == 0 }
		a.Timeseries = slices.DeleteFunc(a.Timeseries, empty)
		a.Metadata, b.Metadata = nil, nil // families without a series are not kept
		want, got = lines1(&a), lines1(&b)
	} else {
		var a, b writev2.Request
		unmarshal(t, raw, &a)
		unmarshal(t, again.Raw, &b)
		empty := func(ts writev2.TimeSeries) bool { return len(ts.Samples)+len(ts.Histograms)+len(ts.Exemplars) == 0 }
		a.Timeseries = slices.DeleteFunc(a.Timeseries, empty)
		want, got = lines2(&a), lines2(&b)
	}
	same(t, p.String(), want, got)
}

// TestFlippedBytes checks requests with a flipped bit: Decode must return either an error or the same result as Prometheus.
func TestFlippedBytes(t *testing.T) {
	refused := 0
	requests(func(seed uint64, p Protocol, q Request, _ []Item) {
		dice := rand.New(rand.NewPCG(seed, uint64(p)))
		for range 15 {
			raw := bytes.Clone(q.Raw)
			if len(raw) == 0 {
				return
			}
			switch dice.IntN(3) {
			case 0:
				raw = raw[:dice.IntN(len(raw))]
			default:
				raw[dice.IntN(len(raw))] ^= 1 << dice.IntN(8)
			}
			agrees(t, p, raw)
			if _, err := Decode(p, raw); err != nil {
				refused++
			}
		}
	})
	if refused < 300 {
		t.Errorf("only %d of 1800 flips are refused", refused)
	}
}

func FuzzDecode(f *testing.F) {
	requests(func(_ uint64, p Protocol, q Request, _ []Item) { f.Add(uint8(p), bytes.Clone(q.Raw)) })
	f.Fuzz(func(t *testing.T, p uint8, raw []byte) {
		if len(raw) < 1<<16 {
			agrees(t, Protocol(1+p%2), raw)
		}
	})
}

// TestBounds checks that a small request cannot take much memory.
func TestBounds(t *testing.T) {
	table := NewTable()
	b := table.NewBuilder()
	long := strings.Repeat("x", MaxLabels/2)
	labels := []metric.Label{{Name: "__name__", Value: "a"}, {Name: "b", Value: long}}
	b.Begin(V2)
	for range 2 * MaxRequest / len(long) {
		s := new(table.Series(labels, &metric.Desc{Name: "a"}))
		b.Add(s, 1, 1, 0)
	}
	q := b.End()
	if _, err := q.Rewrite(V2, nil); err != nil {
		t.Error(err)
	}
	if _, err := q.Rewrite(V1, nil); err == nil || !strings.HasSuffix(err.Error(), "the result exceeds 33554432 bytes") {
		t.Errorf("it becomes too large, and the error is %v", err)
	}
	s := new(table.Series(labels, &metric.Desc{Name: "a"}))
	b.Begin(V2)
	for range 3 { // each within the bound
		b.AddExemplar(s, labels, 1, 1)
	}
	if _, err := Decode(V2, b.End().Raw); err != nil {
		t.Error(err)
	}
	for _, p := range []Protocol{V1, V2} {
		for _, own := range []bool{false, true} {
			labels := append(slices.Clone(labels), metric.Label{Name: "c", Value: long})
			b.Begin(p)
			if own {
				b.AddExemplar(seriesOf(table, "a"), labels, 1, 1)
			} else {
				b.Add(new(table.Series(labels, &metric.Desc{Name: "a"})), 1, 1, 0)
			}
			_, err := Decode(p, b.End().Raw)
			if err == nil || !strings.HasSuffix(err.Error(), "series 0: labels of more than 1048576 bytes") {
				t.Errorf("%s: labels too large (an exemplar's: %t) give %v", p, own, err)
			}
		}
	}
	for _, c := range []struct {
		p    Protocol
		raw  []byte
		want string
	}{
		{V1, make([]byte, MaxRequest+1), "decode a remote-write request 1.0: 33554433 bytes, want at most 33554432"},
		{0, nil, "decode a remote-write request of an unknown version: unknown protocol"},
		{V2, []byte{0x22, 1}, "decode a remote-write request 2.0: truncated"},
		{V2, []byte{0x0a, 0}, "decode a remote-write request 2.0: unknown field"},
		{V2, []byte{0x2a, 4, 0x0a, 2, 7, 7}, "decode a remote-write request 2.0: series 0: symbol 7 of 0"},
	} {
		if _, err := Decode(c.p, c.raw); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	// Spans that promise more buckets than there are deltas.
	hostile := append([]byte{0x0a, 12, 0x22, 10, 0x5a, 6, 0x10}, 0xff, 0xff, 0xff, 0xff, 0x0f)
	hostile = append(hostile, 0x60, 0)[:14]
	if _, err := Decode(V1, hostile); err == nil {
		t.Error("a histogram without its deltas is accepted")
	}
}
