package receive

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"math"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/prometheus/model/histogram"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources/receive/groups"
)

// pages serves the pages that show the groups.
type pages struct {
	store   *groups.Store
	started time.Time
	page    *template.Template
}

//go:embed page.html
var page string

func newPages(store *groups.Store) *pages {
	return &pages{store: store, started: time.Now(), page: template.Must(template.New("groups").Parse(page))}
}

// ServeHTTP handles a GET request.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/", "/status":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		all, _ := p.store.Groups()
		_ = p.page.Execute(w, view(all)) // an error means that the client has closed the connection
	case "/metrics":
		p.metrics(w, r)
	case "/api/v1/metrics":
		all, _ := p.store.Groups()
		answer(w, jsonGroups(all))
	case "/api/v1/status":
		build := map[string]string{}
		if info, ok := debug.ReadBuildInfo(); ok {
			build["version"], build["goVersion"] = info.Main.Version, info.GoVersion
		}
		answer(w, map[string]any{"start_time": p.started, "build_information": build, "flags": map[string]string{}})
	default:
		http.NotFound(w, r)
	}
}

// answer writes a response in the JSON format of a Pushgateway's API.
func answer(w http.ResponseWriter, data any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	text, err := json.Marshal(struct {
		Status string `json:"status"`
		Data   any    `json:"data"`
	}{"success", data})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(text) // an error means that the client has closed the connection
}

// metrics writes all groups as a page to scrape. A series without the label instance gets an empty one, so that Prometheus with
// honor_labels does not add its own.
func (p *pages) metrics(w http.ResponseWriter, r *http.Request) {
	all, _ := p.store.Groups()
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultAcceptedFormats()...)
	w.Header().Set("Content-Type", string(format))
	encoder := expfmt.NewEncoder(w, format)
	converter := metric.Converter{Labels: withInstance}
	for _, parts := range byName(all) {
		converter.Reset()
		family := converter.Family(&parts[0])
		for i := range parts[1:] {
			family.Metric = append(family.Metric, converter.Family(&parts[1+i]).Metric...)
		}
		if encoder.Encode(family) != nil {
			return // the client has closed the connection
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok {
		_ = closer.Close()
	}
}

// byName returns the families of all groups, sorted by name. Families with the same name have different bounds or help.
func byName(all []*groups.Group) [][]metric.Family {
	parts := map[string][]metric.Family{}
	for _, g := range all {
		for _, f := range g.All() {
			parts[f.Name] = append(parts[f.Name], f.Parts...)
		}
	}
	var sorted [][]metric.Family
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		sorted = append(sorted, parts[name])
	}
	return sorted
}

// withInstance appends labels to dst. If they have no label instance, it adds an empty one.
func withInstance(dst, own []metric.Label) []metric.Label {
	at := len(own)
	for i, l := range own {
		if l.Name == "instance" {
			return append(dst, own...)
		}
		if l.Name > "instance" && i < at {
			at = i
		}
	}
	dst = append(dst, own[:at]...)
	dst = append(dst, metric.Label{Name: "instance"})
	return append(dst, own[at:]...)
}

// jsonGroups returns the groups in the format of a Pushgateway's API.
func jsonGroups(all []*groups.Group) []any {
	shown := []any{}
	for _, g := range all {
		one := map[string]any{"labels": labelMap(g.Labels), "last_push_successful": g.LastPushSucceeded()}
		for _, f := range g.All() {
			one[f.Name] = jsonFamily(f)
		}
		shown = append(shown, one)
	}
	return shown
}

func labelMap(labels []metric.Label) map[string]string {
	all := map[string]string{}
	for _, l := range labels {
		all[l.Name] = l.Value
	}
	return all
}

// familyJSON is a family in the format of a Pushgateway's API.
type familyJSON struct {
	Timestamp time.Time        `json:"time_stamp"`
	Type      string           `json:"type"`
	Help      string           `json:"help,omitempty"`
	Metrics   []map[string]any `json:"metrics"`
}

func jsonFamily(f *groups.Family) familyJSON {
	types := map[metric.Type]string{
		metric.Gauge: "GAUGE", metric.Counter: "COUNTER", metric.Histogram: "HISTOGRAM",
		metric.Summary: "SUMMARY", metric.GaugeHistogram: "GAUGE_HISTOGRAM", metric.Unknown: "UNTYPED",
	}
	out := familyJSON{Timestamp: f.Time, Type: types[f.Type], Help: f.Help, Metrics: []map[string]any{}}
	for _, p := range f.Parts {
		for i := range p.Series {
			s := &p.Series[i]
			m := map[string]any{"labels": labelMap(withInstance(nil, s.Labels.Append(nil)))}
			switch h, v := s.Histogram(), s.Summary(); {
			case h != nil:
				setJSONHistogram(m, p.Desc, h)
			case v != nil:
				quantiles := map[string]string{}
				for k, q := range p.Desc.Quantiles {
					quantiles[fmt.Sprint(q)] = fmt.Sprint(v.Quantiles[k])
				}
				m["quantiles"], m["count"], m["sum"] = quantiles, fmt.Sprint(v.Count), fmt.Sprint(v.Sum)
			default:
				m["value"] = fmt.Sprint(s.Value)
			}
			out.Metrics = append(out.Metrics, m)
		}
	}
	return out
}

func setJSONHistogram(m map[string]any, d *metric.Desc, h *metric.HistogramValue) {
	m["sum"] = fmt.Sprint(h.Sum)
	if n := h.Native; n != nil {
		m["count"] = fmt.Sprint(count(n, h.Count))
		if len(n.Positive)+len(n.Negative) > 0 {
			m["buckets"] = nativeJSON(n)
			return
		}
	} else {
		m["count"] = fmt.Sprint(h.Count)
	}
	buckets, sum := map[string]string{}, uint64(0)
	for i, bound := range d.Buckets {
		sum += h.Counts[i]
		buckets[fmt.Sprint(bound)] = fmt.Sprint(sum)
	}
	m["buckets"] = buckets
}

// count converts a count of a native histogram to the number that is printed.
func count(n *metric.NativeBuckets, c uint64) any {
	if n.Fractions {
		return math.Float64frombits(c)
	}
	return c
}

// nativeJSON returns native buckets in the format of Prometheus' HTTP API: a number that says which bounds are inclusive, the two
// bounds, and the count.
func nativeJSON(n *metric.NativeBuckets) [][]any {
	const openLeft, openRight, closed = 0, 1, 3
	var all [][]any
	add := func(rule int, lower, upper float64, c uint64) {
		all = append(all, []any{rule, fmt.Sprint(lower), fmt.Sprint(upper), fmt.Sprint(count(n, c))})
	}
	for i := len(n.Negative) - 1; i >= 0; i-- {
		lower, upper := bounds(n.Schema, n.Negative[i].Index)
		add(openRight, -upper, -lower, n.Negative[i].Count)
	}
	if n.ZeroCount != 0 {
		add(closed, -n.ZeroThreshold, n.ZeroThreshold, n.ZeroCount)
	}
	for _, b := range n.Positive {
		lower, upper := bounds(n.Schema, b.Index)
		add(openLeft, lower, upper, b.Count)
	}
	return all
}

// bounds returns the lower and upper bound of a bucket of a native histogram.
func bounds(schema, index int32) (lower, upper float64) {
	one := histogram.FloatHistogram{Schema: schema, PositiveSpans: []histogram.Span{{Offset: index, Length: 1}}, PositiveBuckets: []float64{1}}
	buckets := one.PositiveBucketIterator()
	buckets.Next()
	return buckets.At().Lower, buckets.At().Upper
}

// maxDetails is the maximum number of groups that are shown with their metrics.
const maxDetails = 1000

// groupView is a group as the page shows it.
type groupView struct {
	Labels  string
	Failed  bool
	Pushed  string
	Metrics string
}

// view returns the data that the page shows.
func view(all []*groups.Group) []groupView {
	views := make([]groupView, 0, len(all))
	for i, g := range all {
		v := groupView{Labels: metric.Labels(jobFirst(g.Labels)).String(), Failed: !g.LastPushSucceeded(), Pushed: "never"}
		if !g.Pushed.IsZero() {
			v.Pushed = g.Pushed.Format(time.RFC3339)
		}
		if i < maxDetails {
			var families []metric.Family
			for _, f := range g.Families {
				families = append(families, f.Parts...)
			}
			var text strings.Builder
			_ = metric.WriteText(&text, families) // a write to a Builder cannot fail
			v.Metrics = text.String()
		}
		views = append(views, v)
	}
	return views
}

func jobFirst(labels []metric.Label) []metric.Label {
	isJob := func(l metric.Label) bool { return l.Name == "job" }
	rest := slices.DeleteFunc(slices.Clone(labels), isJob)
	return slices.Insert(rest, 0, labels[slices.IndexFunc(labels, isJob)])
}
