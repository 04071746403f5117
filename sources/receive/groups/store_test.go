package groups

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/collectington/collectington/agent/durable/disktest"
	"github.com/collectington/collectington/agent/metric"
)

// gateway is a store without goroutines: the test's own goroutine carries out the requests.
type gateway struct {
	testing.TB
	*Store
	now time.Time
}

func open(t testing.TB, change func(*Options)) *gateway {
	t.Helper()
	g := &gateway{TB: t, now: time.Unix(1_800_000_000, 0)}
	o := Options{
		Scheme: model.LegacyValidation, MaxGroups: 100, MaxSeries: 1000, MaxBytes: 1 << 20, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return g.now },
	}
	if change != nil {
		change(&o)
	}
	store, problems, err := Open(o)
	if err := errors.Join(append(problems, err)...); err != nil {
		t.Fatal(err)
	}
	g.Store = store
	return g
}

// on returns a function that changes options, so that the store uses this disk.
func on(disk *disktest.Disk) func(*Options) {
	return func(o *Options) { o.Dir, o.Place = disk, "groups" }
}

func labelsOf(t testing.TB, path string) []metric.Label {
	t.Helper()
	labels, err := ParsePath(path, model.UTF8Validation)
	if err != nil {
		t.Fatal(err)
	}
	return labels
}

// do carries out one request.
func (g *gateway) do(r *request) error {
	g.now = g.now.Add(time.Second)
	r.at, r.done = g.now, make(chan struct{})
	r.key = keyOf(r.labels)
	g.carryOut([]*request{r})
	return r.result
}

// push pushes a text with the method PUT or POST.
func (g *gateway) push(method, path, text string) error {
	g.Helper()
	families, err := Decode([]byte(text), "", g.Scheme, 1<<20)
	if err != nil {
		g.Fatal(err)
	}
	return g.do(&request{labels: labelsOf(g, path), pushed: families, replace: method == "PUT"})
}

func (g *gateway) mustPush(method, path, text string) {
	g.Helper()
	if err := g.push(method, path, text); err != nil {
		g.Fatalf("%s %s: %v", method, path, err)
	}
}

func (g *gateway) remove(path string) error {
	return g.do(&request{labels: labelsOf(g, path), remove: true})
}

// text returns what is shown, without help and the times.
func (g *gateway) text() string {
	all, _ := g.Groups()
	return textOf(all, false)
}

func textOf(all []*Group, times bool) string {
	var text bytes.Buffer
	for _, group := range all {
		families := group.Families
		if times {
			families = group.All()
		}
		for _, f := range families {
			_ = metric.WriteText(&text, f.Parts)
		}
	}
	var lines []string
	for line := range strings.Lines(text.String()) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func (g *gateway) shows(want string) {
	g.Helper()
	if got := g.text(); got != want {
		g.Errorf("shown is\n%swanted is\n%s", got, want)
	}
}

// TestAddDelete has the steps of the Pushgateway's TestAddDeletePersistRestore.
func TestAddDelete(t *testing.T) {
	disk := disktest.New(1)
	g := open(t, on(disk))
	g.mustPush("POST", "job/job1/instance/instance1", "mf3 42\n")
	g.shows("mf3{instance=\"instance1\",job=\"job1\"} 42\n")
	g.mustPush("POST", "job/job1/instance/instance2", "mf1 42\n# TYPE mf2 gauge\nmf2{labelname=\"val2\",basename=\"basevalue2\"} +Inf\nmf2{labelname=\"val1\"} -Inf\n")
	g.mustPush("POST", "job/job1/instance/instance2", "mf1 -3e3\n") // replaces mf1, and leaves mf2
	g.mustPush("POST", "job/job5", "# TYPE mf5 summary\nmf5_sum 0\nmf5_count 0\n")
	all := `mf5_sum{job="job5"} 0
mf5_count{job="job5"} 0
mf3{instance="instance1",job="job1"} 42
mf1{instance="instance2",job="job1"} -3000
mf2{basename="basevalue2",instance="instance2",job="job1",labelname="val2"} +Inf
mf2{instance="instance2",job="job1",labelname="val1"} -Inf
`
	g.shows(all)
	before, _ := g.Groups()

	g.Close()
	g = open(t, on(disk))
	g.shows(all)
	after, _ := g.Groups()
	if a, b := textOf(before, true), textOf(after, true); a != b {
		t.Errorf("before the restart\n%safter it\n%s", a, b)
	}
	if at := after[2].family("mf1").Time; !at.Equal(time.Unix(1_800_000_003, 0)) {
		t.Errorf("after the restart the time of mf1 is %s", at)
	}

	err := errors.Join(g.remove("job/job1/instance/instance1"), g.remove("job/job5"), g.remove("job/job1"), g.remove("job/none"))
	if err != nil {
		t.Error(err)
	}
	rest := "mf1{instance=\"instance2\",job=\"job1\"} -3000\n" +
		"mf2{basename=\"basevalue2\",instance=\"instance2\",job=\"job1\",labelname=\"val2\"} +Inf\nmf2{instance=\"instance2\",job=\"job1\",labelname=\"val1\"} -Inf\n"
	g.shows(rest)
	g.Close()
	g = open(t, on(disk))
	g.shows(rest)
	if err := g.do(&request{remove: true, all: true}); err != nil {
		t.Error(err)
	}
	g.shows("")
	if len(g.index.names)+len(g.index.series)+len(g.index.descs)+g.index.total+int(g.index.bytes) != 0 {
		t.Errorf("the index of no groups has %+v", g.index)
	}
}

// TestRefusals has the cases of TestRejectTimestamps, TestRejectInconsistentPush and more. It checks that a refused push changes only the
// time of the last failure.
func TestRefusals(t *testing.T) {
	for _, c := range []struct{ name, path, text, want string }{
		{"timestamp", "job/a", "new 1 1000\n", "pushed metrics must not have timestamps"},
		{"another type", "job/b", "# TYPE total gauge\ntotal 1\n", "metric total is a gauge here and a counter in another group"},
		{"the same series", "job/a", "own{instance=\"i\"} 3\n", `metric own {instance="i",job="a"} is in another group already`},
		{"twice", "job/b", "x{a=\"1\"} 1\nx{a=\"1\"} 2\n", `metric x {a="1",job="b"} was pushed twice with the same labels`},
		{"twice, by the group", "job/b/a/1", "x{a=\"1\"} 1\nx{a=\"2\"} 2\n", `metric x {a="1",job="b"} was pushed twice with the same labels`},
		{"an empty label", "job/b", "x{a=\"\"} 1\nx 2\n", "was pushed twice with the same labels"},
		{"the name of a part", "job/b", "# TYPE took histogram\ntook_bucket{le=\"+Inf\"} 1\ntook_count 1\ntook_sum 1\n# TYPE z gauge\nz 1\n", "metric took is a histogram: its series took_count has the name of another metric"},
		{"a part's name", "job/b", "s_sum 1\n", "metric s_sum has the name of a series of the summary s"},
		{"decreasing buckets", "job/b", "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_count 2\nh_sum 1\n", "counts are cumulative"},
		{"other count", "job/b", "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_count 3\nh_sum 1\n", "counts 3 observations, but 2 in the bucket +Inf"},
		{"fractions", "job/b", "# TYPE h histogram\nh_bucket{le=\"1\"} 1.5\nh_bucket{le=\"+Inf\"} 2\nh_count 2\nh_sum 1\n", "classic histograms with fractions cannot be passed on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := open(t, nil)
			g.mustPush("PUT", "job/a", "# TYPE total counter\ntotal 1\ntook_count 5\n")
			g.mustPush("PUT", "job/a/instance/i", "# TYPE s summary\ns_sum 1\ns_count 1\nown 2\n")
			shown := g.text()
			g.now = g.now.Add(time.Minute)
			err := g.push("PUT", c.path, c.text)
			if _, refused := errors.AsType[Refusal](err); !refused || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
			g.shows(shown)
			group := g.groups[keyOf(labelsOf(t, c.path))]
			if !group.Failed.Equal(g.now) || group.LastPushSucceeded() || c.path == "job/b" && !group.Pushed.IsZero() {
				t.Errorf("the group was pushed %s and failed %s", group.Pushed, group.Failed)
			}
			// What was refused has left nothing in the index: the same names can be pushed with other types.
			g.mustPush("POST", "job/other", "# TYPE new counter\nnew 1\n# TYPE x counter\nx 1\n# TYPE h gauge\nh 1\n")
		})
	}
}

// TestReplaceInGroup checks that a push does not conflict with metrics of the group that it replaces.
func TestReplaceInGroup(t *testing.T) {
	g := open(t, nil)
	g.mustPush("PUT", "job/a", "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\nx_count 1\nx_sum 1\n")
	g.mustPush("PUT", "job/a", "# TYPE x_count gauge\nx_count 2\n")
	g.mustPush("PUT", "job/a", "# TYPE x_count counter\nx_count 3\n")
	g.shows("x_count{job=\"a\"} 3\n")
	g.mustPush("POST", "job/a", "x_count{le=\"1\"} 4\n")
	g.shows("x_count{job=\"a\",le=\"1\"} 4\n")
	g.mustPush("PUT", "job/a", "")
	g.shows("")
	if all, _ := g.Groups(); len(all) != 1 || all[0].Pushed.IsZero() {
		t.Errorf("after an empty PUT the groups are %v", all)
	}
}

// TestLabels has the cases of TestSanitizeLabels: the labels of the group override those of its series.
func TestLabels(t *testing.T) {
	g := open(t, nil)
	g.mustPush("POST", "job/job1/instance/instance2", "mf1{instance=\"instance1\",job=\"job2\"} 42\n")
	g.shows("mf1{instance=\"instance2\",job=\"job1\"} 42\n")
	g.mustPush("POST", "job/job1/instance/instance2", "mf1{job=\"job1\"} 43\n")
	g.shows("mf1{instance=\"instance2\",job=\"job1\"} 43\n")
	g.mustPush("POST", "job/job1", "mf1{job=\"job1\"} 44\n")
	g.shows("mf1{job=\"job1\"} 44\nmf1{instance=\"instance2\",job=\"job1\"} 43\n")
	g.mustPush("POST", "job/job1/instance@base64/=", "mf1{instance=\"x\"} 45\n") // the same group: an empty label is an absent one
	g.shows("mf1{job=\"job1\"} 45\nmf1{instance=\"instance2\",job=\"job1\"} 43\n")
	g.mustPush("POST", "job/job1", "push_time_seconds 5\npush_failure_time_seconds 6\n") // not overwritten by a push
	if all, _ := g.Groups(); seconds(all[0].Pushed) != 1_800_000_005 || len(all[0].Families) != 1 {
		t.Errorf("the group is %+v", all[0])
	}
}

// TestSameSeries checks that a series keeps its label set and its description over pushes, and that groups share descriptions.
func TestSameSeries(t *testing.T) {
	g := open(t, nil)
	const text = "# TYPE x counter\nx{a=\"1\"} 1\nx{a=\"2\"} 2\n"
	g.mustPush("PUT", "job/a", text)
	g.mustPush("PUT", "job/b", text)
	before, _ := g.Groups()
	g.mustPush("PUT", "job/a", strings.ReplaceAll(text, "} ", "} 1"))
	after, _ := g.Groups()
	x, y, z := before[0].Families[0].Parts[0], after[0].Families[0].Parts[0], after[1].Families[0].Parts[0]
	for i := range x.Series {
		if x.Series[i].Labels != y.Series[i].Labels {
			t.Errorf("series %s has another label set", x.Series[i].Labels)
		}
	}
	if x.Desc != y.Desc || y.Desc != z.Desc {
		t.Error("the descriptions differ")
	}
	if x.Series[0].Value != 1 {
		t.Error("the group before has changed")
	}
}

// TestTTL checks that a group ends when its last successful push is too long ago, also after a restart. With the next push, the totals of
// the group begin again.
func TestTTL(t *testing.T) {
	disk := disktest.New(1)
	lives := func(o *Options) { on(disk)(o); o.TTL, o.AddUp = time.Hour, true }
	g := open(t, lives)
	g.mustPush("PUT", "job/a", "# TYPE x counter\nx 1\n")
	g.now = g.now.Add(59 * time.Minute)
	if err := g.push("PUT", "job/a", "x 1 1\n"); err == nil {
		t.Error("a timestamp passes")
	}
	g.mustPush("PUT", "job/b", "y 1\n")
	g.expire()
	g.shows("x{job=\"a\"} 1\ny{job=\"b\"} 1\n")
	g.now = g.now.Add(2 * time.Minute)
	g.shows("y{job=\"b\"} 1\n") // the expired group is hidden before it is deleted
	g.mustPush("PUT", "job/a", "# TYPE x counter\nx 5\n")
	g.shows("x{job=\"a\"} 5\ny{job=\"b\"} 1\n")
	g.now = g.now.Add(59 * time.Minute)
	g.expire()
	g.Close()
	now := g.now
	g = open(t, lives)
	g.now = now
	g.shows("x{job=\"a\"} 5\n")
	if names := disk.Names(); len(names) != 1 {
		t.Errorf("on disk: %q", names)
	}
}

// TestLimits checks that what exceeds a limit is refused and changes nothing.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"groups", func(o *Options) { o.MaxGroups = 1 }, "there are 1 groups, the most that max_groups allows"},
		{"series", func(o *Options) { o.MaxSeries = 5 }, "all groups would have 6 series, more than max_series of the job (5)"},
		{"bytes", func(o *Options) { o.MaxBytes = 2000 }, "bytes, more than max_bytes (2000)"},
	} {
		g := open(t, c.change)
		g.mustPush("PUT", "job/a", "x 1\n")
		err := g.push("PUT", "job/b", "x 1\n")
		if _, full := errors.AsType[FullError](err); !full || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", c.name, err, c.want)
		}
		g.shows("x{job=\"a\"} 1\n")
		g.mustPush("PUT", "job/a", "x 2\n")
		if all, _ := g.Groups(); len(all) != 1 {
			t.Errorf("%s: there are %d groups", c.name, len(all))
		}
	}
}

// TestDropLabels checks that the instances of a job push to one group.
func TestDropLabels(t *testing.T) {
	g := open(t, func(o *Options) { o.DropLabels, o.AddUp = []string{"instance"}, true })
	for i := range 3 {
		r := &request{labels: labelsOf(t, fmt.Sprintf("job/a/instance/%d", i)), at: g.now, done: make(chan struct{}), replace: true}
		r.pushed, _ = Decode([]byte("# TYPE x counter\nx{instance=\"own\"} 2\n"), "", g.Scheme, 100)
		errs := make(chan error)
		go func() { errs <- g.submit(t.Context(), r) }()
		g.carryOut([]*request{<-g.requests})
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	g.shows("x{job=\"a\"} 6\n")
}

// steps pushes to a few groups and deletes some of them. Each push adds one to a counter of its group.
func steps(g *gateway, done func(i int)) {
	for i := range 12 {
		path := fmt.Sprintf("job/%c", 'a'+i%3)
		var err error
		if i%7 == 6 {
			err = g.remove(path)
		} else {
			err = g.push("POST", path, fmt.Sprintf("# TYPE n counter\nn 1\n# TYPE last gauge\nlast %d\n", i))
		}
		if err != nil {
			return
		}
		done(i)
	}
}

// TestCrash kills the process and cuts the power at each operation of the disk. Afterwards, every push that was answered must be stored.
// The push that the crash interrupted must be stored either completely or not at all.
func TestCrash(t *testing.T) {
	adds := func(o *Options) { o.AddUp = true }
	want := []string{""}
	g := open(t, adds)
	steps(g, func(int) { want = append(want, g.text()) })
	for _, how := range []disktest.Crash{disktest.Killed, disktest.PowerCut} {
		for stop := 1; ; stop++ {
			disk := disktest.New(uint64(stop))
			answered := 0
			survived := disk.Run(stop, func() {
				steps(open(t, func(o *Options) { on(disk)(o); adds(o) }), func(i int) { answered = i + 1 })
			})
			disk.Reboot(how)
			got := open(t, on(disk)).text()
			if got != want[answered] && (answered == len(want)-1 || got != want[answered+1]) {
				t.Fatalf("%v at operation %d, after %d answers:\n%swant\n%sor the next", how, stop, answered, got, want[answered])
			}
			if survived {
				break
			}
		}
	}
}

// TestDiskFails checks that a push is refused if it cannot be written. Such a push leaves no trace, not even on disk when the disk works
// again.
func TestDiskFails(t *testing.T) {
	for _, kind := range []string{"create", "write", "sync", "rename", "syncdir", "remove"} {
		disk := disktest.New(7)
		g := open(t, func(o *Options) { on(disk)(o); o.AddUp = true })
		g.mustPush("POST", "job/a", "# TYPE n counter\nn 1\n")
		g.mustPush("POST", "job/b", "# TYPE n counter\nn 1\n")
		disk.Change(func() {
			disk.Fail = func(op disktest.Op) error {
				if op.Kind == kind {
					return errors.New("no space left on device")
				}
				return nil
			}
		})
		change := func() error { return g.push("POST", "job/a", "# TYPE n counter\nn 1\n") }
		if kind == "remove" {
			change = func() error { return g.remove("job/a") }
		}
		err := change()
		if err == nil || !strings.HasPrefix(err.Error(), "write to groups: ") || !strings.HasSuffix(err.Error(), ": no space left on device") || g.Err() == nil {
			t.Errorf("%s fails: %v", kind, err)
		}
		g.shows("n{job=\"a\"} 1\nn{job=\"b\"} 1\n")
		disk.Change(func() { disk.Fail = nil })
		g.mustPush("POST", "job/b", "# TYPE n counter\nn 1\n")
		want := "n{job=\"a\"} 1\nn{job=\"b\"} 2\n"
		g.shows(want)
		disk.Reboot(disktest.PowerCut)
		open(t, on(disk)).shows(want)
		if g.Err() != nil {
			t.Errorf("the disk works, and the error is %v", g.Err())
		}
	}
}

// TestDamage checks that a damaged file does not affect other groups, and is kept.
func TestDamage(t *testing.T) {
	disk := disktest.New(1)
	g := open(t, on(disk))
	g.mustPush("POST", "job/a", "x 1\n")
	g.mustPush("POST", "job/b", "x 2\n")
	g.Close()
	name := fileName(keyOf(labelsOf(t, "job/a")))
	content := bytes.Clone(disk.Content(name))
	content[len(content)-1] ^= 1
	disk.Put(name, content)
	o := g.Options
	store, problems, err := Open(o)
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0].Error(), "it is damaged, or another version") {
		t.Fatalf("problems %v, error %v", problems, err)
	}
	g.Store = store
	g.shows("x{job=\"b\"} 2\n")
	if got := disk.Content(name + badSuffix); !bytes.Equal(got, content) {
		t.Errorf("the file was not kept: %q", got)
	}
}

// FuzzPush pushes bodies. What is stored is the same after a restart, and what is refused leaves the index as it was.
func FuzzPush(f *testing.F) {
	f.Add([]byte("# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n"), false)
	f.Add([]byte("# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 4\ns_count 3\nx{a=\"b\"} 1 5\n"), false)
	f.Add([]byte("# HELP x \xff\n# TYPE x gauge\nx{a=\"\"} 1\n"), false)
	var all bytes.Buffer
	for _, family := range nativeFamilies() {
		if _, err := protodelim.MarshalTo(&all, family); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(all.Bytes(), true)
	f.Fuzz(func(t *testing.T, body []byte, isProtobuf bool) {
		contentType := ""
		if isProtobuf {
			contentType = protobufType
		}
		disk := disktest.New(1)
		g := open(t, on(disk))
		families, err := Decode(body, contentType, g.Scheme, 10_000)
		if err != nil {
			return
		}
		labels := labelsOf(t, "job/a/instance/b")
		err = g.do(&request{labels: labels, pushed: families})
		if err != nil && len(g.index.names)+len(g.index.series) > 0 {
			t.Fatalf("refused with %v, and the index has %v", err, g.index.names)
		}
		before, _ := g.Groups()
		disk.Reboot(disktest.Killed)
		after, _ := open(t, on(disk)).Groups()
		if a, b := textOf(before, true), textOf(after, true); a != b {
			t.Fatalf("before the restart\n%safter it\n%s", a, b)
		}
	})
}

const protobufType = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

// nativeFamilies returns families with native histograms.
func nativeFamilies() []*dto.MetricFamily {
	spans := []*dto.BucketSpan{{Offset: proto.Int32(0), Length: proto.Uint32(2)}, {Offset: proto.Int32(1), Length: proto.Uint32(1)}}
	return []*dto.MetricFamily{
		{Name: proto.String("ints"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: &dto.Histogram{
			SampleCount: proto.Uint64(9), SampleSum: proto.Float64(99.23), Schema: proto.Int32(1), ZeroThreshold: proto.Float64(0.001),
			ZeroCount: proto.Uint64(2), PositiveSpan: spans, PositiveDelta: []int64{2, 1, -1},
			Bucket: []*dto.Bucket{{UpperBound: proto.Float64(1), CumulativeCount: proto.Uint64(4)}},
		}}}},
		{Name: proto.String("floats"), Type: dto.MetricType_GAUGE_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: &dto.Histogram{
			SampleCountFloat: proto.Float64(5.5), SampleSum: proto.Float64(1), Schema: proto.Int32(0), NegativeSpan: spans, NegativeCount: []float64{2, 1.5, 2},
		}}}},
	}
}

// TestHostileProtobuf checks that a small body of very many messages is refused before the messages are decoded.
func TestHostileProtobuf(t *testing.T) {
	family := append([]byte{0x0a, 1, 'x'}, bytes.Repeat([]byte{0x22, 0}, 1<<20)...) // empty metrics
	var body bytes.Buffer
	body.Write([]byte{0x83, 0x80, 0x80, 0x01}) // its length, 2<<20 + 3
	body.Write(family)
	allocated := testing.AllocsPerRun(1, func() {
		if _, err := Decode(body.Bytes(), protobufType, model.LegacyValidation, 1000); err == nil || !strings.Contains(err.Error(), "more than 1000 fields") {
			t.Errorf("error %v", err)
		}
	})
	if allocated > 100 {
		t.Errorf("%v allocations", allocated)
	}
	if _, err := Decode(bytes.Repeat([]byte("a 1\n"), 2000), "", model.LegacyValidation, 1000); err == nil {
		t.Error("2000 lines pass")
	}
	if _, err := Decode([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1}, protobufType, model.LegacyValidation, 1000); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a message that is cut off: %v", err)
	}
}
