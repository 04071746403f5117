package command_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// query is a query of a dashboard or an alert. The text in the field "says" is a legend or annotations. It names labels of the query's
// result.
type query struct{ where, text, says string }

// troubled is the configuration of an agent in trouble: nearly everything that its own metrics can report happens to it.
const troubled = `
state_file: state
external_labels: {instance: a}
sinks:
  central: {remote_write: {url: "http://rw.test/api/v1/write"}}
  strict: {remote_write: {url: "http://strict.test/api/v1/write", spool: {dir: cton.yaml/spool}}} # which is no directory
jobs:
  # Its total goes down, and each second reading is missing.
  api:
    schedule: "@every 60s"
    http: {url: "http://api.test/v1", cache_for: 50s}
    metrics:
      api_total: {type: counter, value: .total}
      api_value: {type: gauge, items: ".items[]", value: .value, labels: {name: .name}}
  same: {schedule: "@every 60s", jitter: 10s, http: {url: "http://api.test/v1", cache_for: 50s}, metrics: {same: {type: gauge, value: .total}}}
  failing: {schedule: "@every 60s", http: {url: "http://api.test/missing"}, metrics: {failing: {type: gauge, value: .}}}
  partial:
    schedule: "@every 60s"
    http: {url: "http://api.test/v1"}
    metrics: {partial: {type: gauge, value: .total}, wrong: {type: gauge, value: ".items[0].name", missing: error}}
  slow: {schedule: "@every 60s", timeout: 100s, http: {url: "http://api.test/slow"}, metrics: {slow: {type: gauge, value: .total}}}
  hanging: {schedule: "@every 30m", timeout: 3h, http: {url: "http://api.test/hang"}, metrics: {hanging: {type: gauge, value: .total}}}
  windowed: {schedule: "@every 60s", window: {length: 5m}, http: {url: "http://api.test/v1", query: {from: "{{ rfc3339 .Window.Start }}"}}, metrics: {windowed: {type: gauge, value: .total}}}
`

// trouble serves the API and the receivers of the troubled agent.
func trouble(t *testing.T, net *memnet.Network, prometheus http.Handler) {
	start := time.Now()
	net.Serve(t, "api.test:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		minute := int(time.Since(start) / time.Minute)
		switch r.URL.Path {
		case "/missing":
			http.NotFound(w, r)
			return
		case "/slow":
			time.Sleep(70 * time.Second)
		case "/hang":
			select {
			case <-r.Context().Done():
			case <-time.After(150 * time.Minute):
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-RateLimit-Remaining", fmt.Sprint(max(1000-10*minute, 1)))
		fmt.Fprintf(w, `{"total": %d, "items": [{"name": "a", "value": 1}, {"name": "b", "value": null}]}`, minute%20)
	}))
	net.Serve(t, "rw.test:80", prometheus)
	net.Serve(t, "strict.test:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch minute := time.Since(start).Minutes(); {
		case minute < 70:
			prometheus.ServeHTTP(w, r)
		case minute < 80:
			http.Error(w, "out of order sample", http.StatusBadRequest)
		default:
			http.Error(w, "busy", http.StatusServiceUnavailable)
		}
	}))
}

// standby is the configuration of an agent that never gets its lease.
const standby = `
external_labels: {instance: b}
sinks: {central: {remote_write: {url: "http://rw.test/api/v1/write"}}}
jobs: {leased: {schedule: "@every 60s", http: {url: "http://api.test/v1"}, metrics: {leased: {type: gauge, value: .total}}}}
`

// startStandby starts an agent that does not reach the API server of Kubernetes. It returns a function that stops the agent.
func startStandby(t *testing.T, net *memnet.Network, account string) (stop func()) {
	var out, log strings.Builder
	app := faultyApp(&out, &log, net)
	app.Host, app.ServiceAccount = "pod-1", account
	file := write(t, "cton.yaml", standby)
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() { code <- app.Main(ctx, []string{"run", "-c", file, "--lease", "cton"}) }()
	return func() {
		cancel()
		if got := <-code; got != 0 {
			t.Errorf("the standby: exit code %d\n%s", got, log.String())
		}
	}
}

// serviceAccount writes what Kubernetes mounts into a pod.
func serviceAccount(t *testing.T) (dir string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	server.Close()
	t.Setenv("KUBERNETES_SERVICE_HOST", "kubernetes.test")
	t.Setenv("KUBERNETES_SERVICE_PORT", "443")
	dir = t.TempDir()
	for name, text := range map[string]string{
		"namespace": "monitoring", "token": "token-1", "ca.crt": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestDashboardsAndAlerts checks each query of the dashboards and alerts. Prometheus runs the queries on the metrics that an agent in
// trouble delivers about itself. Each metric and label that a query names must exist, and each panel must show something.
func TestDashboardsAndAlerts(t *testing.T) {
	account := serviceAccount(t)
	synctest.Test(t, func(t *testing.T) {
		net, prometheus := memnet.NewNetwork(), peers.NewPrometheus(t)
		trouble(t, net, prometheus)
		stopStandby := startStandby(t, net, account)
		file := write(t, "cton.yaml", troubled)
		var out, log strings.Builder
		app, reload := faultyApp(&out, &log, net), make(chan os.Signal)
		app.Reload = reload
		ctx, cancel := context.WithCancel(t.Context())
		code := make(chan int, 1)
		go func() { code <- app.Main(ctx, []string{"run", "-c", file, "--shard", "1/1"}) }()
		time.Sleep(100 * time.Minute)
		if err := os.WriteFile(file, []byte("jobs: wrong\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		select {
		case reload <- os.Interrupt:
		case got := <-code:
			t.Fatalf("exit code %d\n%s", got, log.String())
		}
		time.Sleep(20 * time.Minute)
		at := time.Now()
		stopStandby()
		cancel()
		if got := <-code; got != 0 {
			t.Fatalf("exit code %d\n%s", got, log.String())
		}
		known := ownLabels(t, prometheus, at)
		for _, q := range slices.Concat(queriesOf(t, "fleet"), queriesOf(t, "host"), queriesOfAlerts(t)) {
			names := q.check(t, known)
			if i := strings.LastIndex(q.text, " > "); strings.Contains(q.text, "shard") && i > 0 {
				q.text = q.text[:i] // one agent is not enough for this alert to fire: deploy/alerts/cton_test.yaml has several
			}
			got := prometheus.Vector(t, at, q.text)
			if len(got) == 0 { // the agent has stopped
				got = prometheus.Vector(t, at.Add(15*time.Minute), q.text)
			}
			if len(got) == 0 && !(strings.HasSuffix(q.text, "> 0") && len(names) == 1 && slices.Contains(absent, names[0])) {
				t.Errorf("%s: no result of\n%s", q.where, q.text)
			}
			for _, sample := range got {
				q.checkResult(t, sample.Metric)
			}
		}
	})
}

// absent has the names of the metrics that are 0, because what they count does not happen to the troubled agent.
var absent = []string{"cton_clock_jumps_total", "cton_job_skipped_windows_total", "cton_state_failed_writes_total"}

// ownLabels returns the labels of each metric that the agent has delivered about itself in the last two hours.
func ownLabels(t *testing.T, prometheus *peers.Prometheus, at time.Time) map[string][]string {
	t.Helper()
	known := map[string][]string{}
	for _, sample := range prometheus.Vector(t, at, `last_over_time({__name__=~"cton_.+"}[2h])`) {
		name := sample.Metric.Get(model.MetricNameLabel)
		sample.Metric.Range(func(l labels.Label) {
			if !slices.Contains(known[name], l.Name) {
				known[name] = append(known[name], l.Name)
			}
		})
	}
	return known
}

// queriesOf returns the queries of a dashboard: those of its panels and of its variables.
func queriesOf(t *testing.T, dashboard string) []query {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../deploy/dashboards", dashboard+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Type, Title, Description string
			Targets                  []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct{ Name, Type, Definition string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatalf("%s: %v", dashboard, err)
	}
	chosen := strings.NewReplacer("$instance", "a", "$cton_job", ".*")
	var all []query
	for _, p := range d.Panels {
		where := dashboard + ": " + p.Title
		if p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("%s: no description or no query", where)
		}
		for _, target := range p.Targets {
			all = append(all, query{where, chosen.Replace(target.Expr), target.LegendFormat})
		}
	}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		inner, ok := strings.CutPrefix(v.Definition, "label_values(")
		selector, label, found := strings.Cut(strings.TrimSuffix(inner, ")"), ", ")
		if !ok || !found || label != v.Name {
			t.Errorf("%s: the variable %s is %s", dashboard, v.Name, v.Definition)
		}
		all = append(all, query{dashboard + ": $" + v.Name, chosen.Replace(selector), "{{" + label + "}}"})
	}
	return all
}

// queriesOfAlerts returns the queries of the alerts. Each alert must have a paragraph in the guide that its runbook_url leads to.
func queriesOfAlerts(t *testing.T) []query {
	t.Helper()
	p := parser.NewParser(parser.Options{})
	groups, errs := rulefmt.ParseFile("../../../deploy/alerts/cton.yaml", false, model.UTF8Validation, p, slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	guide, err := os.ReadFile("../../../deploy/guides/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []query
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			if !strings.Contains(string(guide), "\n## "+r.Alert+"\n") {
				t.Errorf("deploy/guides/alerts.md has no paragraph on %s", r.Alert)
			}
			if url := r.Annotations["runbook_url"]; !strings.HasSuffix(url, "/deploy/guides/alerts.md#"+strings.ToLower(r.Alert)) {
				t.Errorf("%s: runbook_url is %q", r.Alert, url)
			}
			all = append(all, query{r.Alert, r.Expr, r.Annotations["summary"] + r.Annotations["description"]})
		}
	}
	if headings := strings.Count(string(guide), "\n## Cton"); headings != len(all) {
		t.Errorf("deploy/guides/alerts.md has paragraphs on %d alerts, want %d", headings, len(all))
	}
	return all
}

// check checks that each metric in the query is known, and that each label in the query belongs to at least one of these metrics. It
// returns the names of the metrics.
func (q query) check(t *testing.T, known map[string][]string) (names []string) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(q.text)
	if err != nil {
		t.Fatalf("%s: %v in\n%s", q.where, err, q.text)
	}
	var wanted, have []string
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			if known[n.Name] == nil {
				t.Errorf("%s: the agent has no metric %s", q.where, n.Name)
			}
			names, have = append(names, n.Name), append(have, known[n.Name]...)
			for _, m := range n.LabelMatchers {
				if m.Name != model.MetricNameLabel && !slices.Contains(known[n.Name], m.Name) {
					t.Errorf("%s: %s has no label %s", q.where, n.Name, m.Name)
				}
			}
		case *parser.AggregateExpr:
			wanted = append(wanted, n.Grouping...)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				wanted = append(wanted, n.VectorMatching.MatchingLabels...)
			}
		}
		return nil
	})
	for _, label := range wanted {
		if !slices.Contains(have, label) {
			t.Errorf("%s: no metric has the label %s in\n%s", q.where, label, q.text)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkResult checks that a result has the labels that the legend or the annotations name.
func (q query) checkResult(t *testing.T, got labels.Labels) {
	t.Helper()
	for _, m := range regexp.MustCompile(`{{ *(?:\$labels\.)?([a-z_]+) *}}`).FindAllStringSubmatch(q.says, -1) {
		if !got.Has(m[1]) {
			t.Errorf("%s: the result %s has no label %s", q.where, got, m[1])
		}
	}
}

// TestDashboardLayout checks that Grafana can place the panels of each dashboard: in 24 columns, without overlaps, each with its own id
// and with the data source that the user has chosen.
func TestDashboardLayout(t *testing.T) {
	type source struct{ Type, UID string }
	chosen := source{"prometheus", "${datasource}"}
	for _, name := range []string{"fleet", "host"} {
		text, err := os.ReadFile(filepath.Join("../../../deploy/dashboards", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			Panels []struct {
				ID          int
				Type, Title string
				GridPos     struct{ X, Y, W, H int }
				Datasource  source
				Targets     []struct {
					RefID      string
					Datasource source
				}
			}
		}
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		ids, taken := map[int]bool{}, map[[2]int]string{}
		for _, p := range d.Panels {
			g := p.GridPos
			if ids[p.ID] || p.ID == 0 || g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
				t.Errorf("%s: %s: id %d, place %+v", name, p.Title, p.ID, g)
			}
			ids[p.ID] = true
			for cell := range g.W * g.H {
				at := [2]int{g.X + cell%g.W, g.Y + cell/g.W}
				if other := taken[at]; other != "" {
					t.Fatalf("%s: %s lies over %s", name, p.Title, other)
				}
				taken[at] = p.Title
			}
			refs := map[string]bool{}
			for _, target := range p.Targets {
				if refs[target.RefID] || target.RefID == "" || p.Datasource != chosen || target.Datasource != (source{}) && target.Datasource != chosen {
					t.Errorf("%s: %s: query %q of %v, panel of %v", name, p.Title, target.RefID, target.Datasource, p.Datasource)
				}
				refs[target.RefID] = true
			}
		}
	}
}
