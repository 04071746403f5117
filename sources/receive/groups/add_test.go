package groups

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/proto"

	"github.com/collectington/collectington/agent/durable/disktest"
	"github.com/collectington/collectington/agent/metric"
)

// TestAddUp pushes the observations of many runs, and compares the sums with the truth.
func TestAddUp(t *testing.T) {
	disk := disktest.New(1)
	g := open(t, func(o *Options) { on(disk)(o); o.AddUp, o.Scheme = true, model.UTF8Validation })
	dice := rand.New(rand.NewPCG(1, 2))
	var total, sum float64
	var count, small, other uint64
	var buckets [20]uint64 // of the native histogram, by index - 1
	for run := range 1000 {
		if run%100 == 99 {
			now := g.now
			g.Close()
			g = open(t, func(o *Options) { on(disk)(o); o.AddUp, o.Scheme = true, model.UTF8Validation })
			g.now = now
		}
		n, took := float64(dice.IntN(100)), dice.Float64()*4
		total, sum, count = total+n, sum+took, count+1
		low := uint64(0)
		if took <= 1 {
			small, low = small+1, 1
		}
		bucket := dice.IntN(len(buckets))
		buckets[bucket]++
		text := fmt.Sprintf("# TYPE n counter\nn{k=\"a\"} %v\n# TYPE took histogram\ntook_bucket{le=\"1\"} %d\ntook_bucket{le=\"+Inf\"} 1\ntook_sum %v\ntook_count 1\n"+
			"# TYPE s summary\ns{quantile=\"0.5\"} %v\ns_sum %v\ns_count 1\n# TYPE last gauge\nlast %d\n", n, low, took, took, took, run)
		if run%3 == 0 {
			text += "# TYPE other counter\nother 1\n"
			other++
		}
		families, err := Decode([]byte(text), "", g.Scheme, 100)
		if err != nil {
			t.Fatal(err)
		}
		families = append(families, &dto.MetricFamily{Name: proto.String("native"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: &dto.Histogram{
			SampleCount: proto.Uint64(1), SampleSum: proto.Float64(took), Schema: proto.Int32(3), ZeroThreshold: proto.Float64(0.5),
			PositiveSpan: []*dto.BucketSpan{{Offset: proto.Int32(int32(bucket) + 1), Length: proto.Uint32(1)}}, PositiveDelta: []int64{1},
		}}}})
		if err := g.do(&request{labels: labelsOf(t, "job/a"), pushed: families, replace: run%2 == 0}); err != nil {
			t.Fatal(err)
		}
	}
	group := g.groups[keyOf(labelsOf(t, "job/a"))]
	series := func(name string) *metric.Series { return &group.family(name).Parts[0].Series[0] }
	took, s, n := series("took").Histogram(), series("s").Summary(), series("native").Histogram()
	if got := series("n").Value; got != total {
		t.Errorf("n is %v, want %v", got, total)
	}
	if got := series("other").Value; got != float64(other) {
		t.Errorf("other is %v, want %v", got, other)
	}
	if took.Count != count || took.Counts[0] != small || took.Sum != sum || s.Count != count || s.Sum != sum || n.Count != count {
		t.Errorf("took %+v, s %+v, native %+v; want %d, %d small, sum %v", took, s, n, count, small, sum)
	}
	for _, b := range n.Native.Positive {
		if b.Count != buckets[b.Index-1] {
			t.Errorf("bucket %d has %d, want %d", b.Index, b.Count, buckets[b.Index-1])
		}
	}
	if got := series("last").Value; got != 999 {
		t.Errorf("the gauge is %v", got)
	}
	if start := series("n").Start; start != 1_800_000_001_000-1 {
		t.Errorf("n starts at %d", start)
	}
}

// TestAddUpRefuses checks that histograms with other buckets are refused, and that histograms with a lower resolution are accepted.
func TestAddUpRefuses(t *testing.T) {
	g := open(t, func(o *Options) { o.AddUp = true })
	classic := func(bound string) string {
		return "# TYPE h histogram\nh_bucket{le=\"" + bound + "\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n"
	}
	g.mustPush("PUT", "job/a", classic("1"))
	if err := g.push("PUT", "job/a", classic("2")); err == nil || !strings.Contains(err.Error(), "has other buckets than before") {
		t.Errorf("other buckets: %v", err)
	}
	native := func(schema, index int32, threshold float64) error {
		return g.do(&request{labels: labelsOf(t, "job/n"), pushed: []*dto.MetricFamily{{Name: proto.String("n"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: &dto.Histogram{
			SampleCount: proto.Uint64(1), SampleSum: proto.Float64(1), Schema: &schema, ZeroThreshold: &threshold,
			PositiveSpan: []*dto.BucketSpan{{Offset: &index, Length: proto.Uint32(1)}}, PositiveDelta: []int64{1},
		}}}}}})
	}
	// Bucket 5 of schema 2 ends at 2^(5/4), so it is in bucket 2 of schema 0, which ends at 4. Bucket -3 of schema 2 is in bucket 0 of
	// schema 0, which ends at 1.
	if err := errors.Join(native(2, 5, 0.1), native(0, 2, 0.1), native(2, -3, 0.1)); err != nil {
		t.Fatal(err)
	}
	got := g.groups[keyOf(labelsOf(t, "job/n"))].Families[0].Parts[0].Series[0].Histogram()
	if n := got.Native; n.Schema != 0 || fmt.Sprint(n.Positive) != "[{0 1} {2 2}]" || got.Count != 3 {
		t.Errorf("the sum is %+v", n)
	}
	if err := native(0, 2, 0.2); err == nil || !strings.Contains(err.Error(), "zero threshold") {
		t.Errorf("another zero threshold: %v", err)
	}
}

// TestAddUpKeepsTotalsGood checks that a push which would spoil a total changes nothing, and that the totals go on afterwards.
func TestAddUpKeepsTotalsGood(t *testing.T) {
	g := open(t, func(o *Options) { o.AddUp = true })
	push := func(text string) error {
		families, err := Decode([]byte(text), "", g.Scheme, 100)
		if err != nil {
			t.Fatal(err)
		}
		return g.do(&request{labels: labelsOf(t, "job/a"), pushed: families})
	}
	const histogram = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum %s\nh_count 1\n"
	summary := strings.NewReplacer("histogram", "summary", "h_bucket{le=\"+Inf\"} 1\n", "", "h", "s").Replace(histogram)
	good := "# TYPE c counter\nc 10\n" + fmt.Sprintf(histogram, "-2") + fmt.Sprintf(summary, "-2")
	for _, text := range []string{
		"", "# TYPE c counter\nc -3\n", "# TYPE c counter\nc NaN\n", "# TYPE c counter\nc +Inf\n", "# TYPE d counter\nd -1\n",
		fmt.Sprintf(histogram, "NaN"), fmt.Sprintf(histogram, "+Inf"), fmt.Sprintf(summary, "-Inf"),
	} {
		err := push(text)
		if _, refused := errors.AsType[Refusal](err); refused != (text != "") {
			t.Errorf("%q is refused: %v, %v", text, refused, err)
		}
		if err := push(good); err != nil {
			t.Fatal(err)
		}
	}
	group := g.groups[keyOf(labelsOf(t, "job/a"))]
	series := func(name string) *metric.Series { return &group.family(name).Parts[0].Series[0] }
	if c, h, s := series("c").Value, series("h").Histogram(), series("s").Summary(); c != 80 || h.Sum != -16 || h.Count != 8 || s.Sum != -16 {
		t.Errorf("the totals are %v, %v of %d, and %v, want 80, -16 of 8, and -16", c, h.Sum, h.Count, s.Sum)
	}
}
