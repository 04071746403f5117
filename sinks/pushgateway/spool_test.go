package pushgateway

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/sinktest"
)

func gaugeBatch(job string, partial bool, values map[string]float64) metric.Batch {
	b := metric.Batch{Job: job, Time: time.Now(), Partial: partial}
	for name, value := range values {
		d := &metric.Desc{Name: name, Type: metric.Gauge}
		b.Families = append(b.Families, metric.Family{Desc: d, Series: []metric.Series{{Labels: d.LabelSet(nil), Value: value}}})
	}
	return b
}

func (r *rig) away(away bool) {
	if !away {
		r.response.Store(nil)
		return
	}
	f := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusServiceUnavailable) })
	r.response.Store(&f)
}

func (r *rig) values(t *testing.T) map[string]float64 {
	t.Helper()
	return sinktest.FromText(t, r.gateway.Text(t), "instance").Values
}

// TestSpoolKeepsTheNewest checks that the newest push of each group is on disk while the Pushgateway is away, and that another process can
// deliver it. That process need not have the same jobs.
func TestSpoolKeepsTheNewest(t *testing.T) {
	dir := t.TempDir()
	withSpool := func(c *Config, _ *sinks.Env) { c.Spool.Dir = dir }
	r := newRig(t, withSpool)
	r.away(true)
	for _, b := range []metric.Batch{
		gaugeBatch("a", false, map[string]float64{"x": 1, "y": 1}),
		gaugeBatch("a", false, map[string]float64{"x": 2, "y": 2}),
		gaugeBatch("a", true, map[string]float64{"x": 3}),
		gaugeBatch("b", true, map[string]float64{"x": 7}),
	} {
		if err := r.Write(t.Context(), b); !sinks.IsSaved(err) {
			t.Fatalf("Write: %v, want an error after which the batch is saved", err)
		}
	}
	if n := r.env.Stats.Pending().Samples; n != 3 {
		t.Errorf("%d samples are pending, want 3", n)
	}
	other, err := (&Config{URL: address(t, r.server.URL), Spool: Spool{Dir: dir}}).New(r.env)
	if err != nil {
		t.Fatal(err)
	}
	r.away(false)
	if err := other.Write(t.Context(), gaugeBatch("c", false, map[string]float64{"x": 9})); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := other.(sinks.Runner).Run(ended); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(r.values(t)), `map[x{job="a"}:3 x{job="b"}:7 x{job="c"}:9 y{job="a"}:2]`; got != want {
		t.Errorf("the Pushgateway has %s, want %s", got, want)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*"+suffix)); len(names) > 0 {
		t.Errorf("left in the spool: %q", names)
	}
}

// TestSpoolDamage checks that a damaged file is dropped and logged, and that a file of a later version stays.
func TestSpoolDamage(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, func(c *Config, _ *sinks.Env) { c.Spool.Dir = dir })
	r.away(true)
	for _, job := range []string{"damaged", "later", "good"} {
		if err := r.Write(t.Context(), gaugeBatch(job, false, map[string]float64{"x": 1})); !sinks.IsSaved(err) {
			t.Fatal(err)
		}
	}
	file := func(job string) string {
		return filepath.Join(dir, (&push{Job: job, Group: []metric.Label{{Name: "instance", Value: r.env.Instance}}}).name())
	}
	change := func(job string, how func([]byte) []byte) {
		text, err := os.ReadFile(file(job))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file(job), how(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change("damaged", func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	change("later", func(b []byte) []byte { return bytes.Replace(b, []byte("cton-push 1"), []byte("cton-push 2"), 1) })
	r.away(false)
	r.Sink.(*sink).replay(t.Context())
	if got, want := fmt.Sprint(r.values(t)), `map[x{job="good"}:1]`; got != want {
		t.Errorf("the Pushgateway has %s, want %s", got, want)
	}
	if _, err := os.Stat(file("damaged")); err == nil {
		t.Error("the damaged file is still there")
	}
	if _, err := os.Stat(file("later")); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"the file is damaged", "a later version of cton"} {
		if !strings.Contains(r.logged(), want) {
			t.Errorf("not logged: %s:\n%s", want, r.logged())
		}
	}
	if err := r.Write(t.Context(), gaugeBatch("later", false, map[string]float64{"x": 2})); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(file("later")); err != nil || !bytes.HasPrefix(text, []byte("cton-push 2")) {
		t.Errorf("the file of a later version was changed: %v", err)
	}
}

// TestSpoolRefused checks that a push is removed from the spool if the Pushgateway refuses it.
func TestSpoolRefused(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, func(c *Config, _ *sinks.Env) { c.Spool.Dir = dir })
	f := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "inconsistent", http.StatusBadRequest) })
	r.response.Store(&f)
	err := r.Write(t.Context(), gaugeBatch("a", false, map[string]float64{"x": 1}))
	if !sinks.IsPermanent(err) {
		t.Errorf("Write: %v, want a permanent error", err)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*"+suffix)); len(names) > 0 {
		t.Errorf("left in the spool: %q", names)
	}
	// These responses may come from a server in front of the Pushgateway, and say nothing about the push.
	for _, code := range []int{301, 401, 403, 404, 429, 500, 502} {
		f := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Location", "/login")
			w.WriteHeader(code)
		})
		r.response.Store(&f)
		if err := r.Write(t.Context(), gaugeBatch("a", false, map[string]float64{"x": 1})); !sinks.IsSaved(err) {
			t.Errorf("%d: %v, want an error after which the batch is saved", code, err)
		}
		if names, _ := filepath.Glob(filepath.Join(dir, "*"+suffix)); len(names) != 1 {
			t.Errorf("%d: in the spool are %q", code, names)
		}
	}
}

// TestSpoolFault checks a push that cannot be put on disk. The push is delivered all the same, and the sink's Stats show the fault. The
// fault ends when a later push is put on disk.
func TestSpoolFault(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	r := newRig(t, func(c *Config, _ *sinks.Env) { c.Spool.Dir = dir })
	write := func(value float64, why string) {
		t.Helper()
		if err := r.Write(t.Context(), gaugeBatch("a", false, map[string]float64{"x": value})); err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(r.values(t)), fmt.Sprintf(`map[x{job="a"}:%v]`, value); got != want {
			t.Errorf("the Pushgateway has %s, want %s", got, want)
		}
		if fault, ok := r.env.Stats.Spool(); !ok || !strings.Contains(fault.Why, why) || (fault.Why == "") != (why == "") || fault.Since.IsZero() != (why == "") {
			t.Errorf("the fault is %+v, want %q", fault, why)
		}
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	write(1, "not a directory")
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	write(2, "")
	if r := newRig(t, nil); r.env.Stats != nil {
		if _, ok := r.env.Stats.Spool(); ok {
			t.Error("a sink without a spool has one")
		}
	}
}

func FuzzParsePush(f *testing.F) {
	p := &push{Job: "a", Group: []metric.Label{{Name: "instance", Value: "h"}}, Partial: true, Series: 1, families: []*dto.MetricFamily{{
		Name: proto.String("x"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(1)}}},
	}}}
	var text bytes.Buffer
	if err := p.write(&text); err != nil {
		f.Fatal(err)
	}
	f.Add(text.Bytes())
	f.Add([]byte("cton-push 2 00000000\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parsePush(text)
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := p.write(&again); err != nil {
			t.Fatal(err)
		}
		if q, err := parsePush(again.Bytes()); err != nil || q.name() != p.name() || len(q.families) != len(p.families) {
			t.Errorf("%v: %+v became %+v", err, p, q)
		}
	})
}

// TestSpoolOfALargeFamily checks that a family of more than 4 MiB, the limit of protodelim, is read back.
func TestSpoolOfALargeFamily(t *testing.T) {
	f := &dto.MetricFamily{Name: proto.String("x"), Type: dto.MetricType_GAUGE.Enum()}
	for i := range 60_000 {
		f.Metric = append(f.Metric, &dto.Metric{
			Label: []*dto.LabelPair{{Name: proto.String("id"), Value: proto.String(fmt.Sprintf("%070d", i))}}, Gauge: &dto.Gauge{Value: proto.Float64(1)},
		})
	}
	var file bytes.Buffer
	if err := (&push{families: []*dto.MetricFamily{f}}).write(&file); err != nil {
		t.Fatal(err)
	}
	if file.Len() < 5<<20 {
		t.Fatalf("%d bytes", file.Len())
	}
	got, err := parsePush(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.families) != 1 || !proto.Equal(got.families[0], f) {
		t.Error("it is another family")
	}
}
