package scrape

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/sources/discovery"
)

// TestTargetsAreThoseOfPrometheus checks that the settings and the labels of a group result in the same URL and the same labels as in
// Prometheus.
func TestTargetsAreThoseOfPrometheus(t *testing.T) {
	for name, c := range map[string]struct {
		settings, address string
		group             map[string]string
	}{
		"nothing":              {"{}", "h:1", nil},
		"settings":             {"{scheme: https, metrics_path: /m, params: {a: [x, y], 'b c': ['&']}}", "h:1", nil},
		"the group's":          {"{params: {a: [x, y]}}", "h:1", map[string]string{"__scheme__": "https", "__metrics_path__": "/n", "__param_a": "z", "__param_new": "1", "rack": "7", "job": "other", "instance": "me", "__tmp": "1", "empty": ""}},
		"instance":             {"{relabel_configs: [{source_labels: [__address__], regex: '(.*):.*', target_label: instance}]}", "host:9100", nil},
		"an address":           {"{relabel_configs: [{source_labels: [__address__], target_label: __param_target}, {source_labels: [__param_target], target_label: instance}, {target_label: __address__, replacement: 'blackbox:9115'}], params: {module: [http_2xx]}}", "https.example", nil},
		"dropped":              {"{relabel_configs: [{source_labels: [__address__], regex: 'h:.*', action: drop}]}", "h:1", nil},
		"kept":                 {"{relabel_configs: [{source_labels: [rack], regex: '7', action: keep}]}", "h:1", map[string]string{"rack": "7"}},
		"a map of labels":      {"{relabel_configs: [{regex: __meta_(.+), action: labelmap}]}", "h:1", map[string]string{"__meta_zone": "a"}},
		"no address":           {"{relabel_configs: [{regex: __address__, action: labeldrop}]}", "h:1", nil},
		"an address with path": {"{relabel_configs: [{target_label: __address__, replacement: 'h:1/x'}]}", "h:1", nil},
		"a shard":              {"{relabel_configs: [{source_labels: [__address__], modulus: 2, target_label: __tmp, action: hashmod}, {source_labels: [__tmp], regex: '1', action: keep}]}", "h:3", nil},
		"no job":               {"{relabel_configs: [{regex: job, action: labeldrop}]}", "h:1", nil},
		"a path without slash": {"{relabel_configs: [{target_label: __metrics_path__, replacement: 'm'}]}", "h:1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			ours := Kind.Defaults().(*Config)
			if err := yaml.Load([]byte(c.settings), ours, yaml.WithKnownFields()); err != nil {
				t.Fatal(err)
			}
			var a Address
			if err := a.UnmarshalText([]byte(c.address)); err != nil {
				t.Fatal(err)
			}
			made, err := newEndpoints(ours, "node")
			if err != nil {
				t.Fatal(err)
			}
			e, keep, err := made.of(&a, &discovery.Group{Labels: c.group})

			theirs, loadErr := config.Load("scrape_configs: [{job_name: node, "+c.settings[1:len(c.settings)-1]+"}]", slog.New(slog.DiscardHandler))
			if loadErr != nil {
				t.Fatal(loadErr)
			}
			g := &targetgroup.Group{Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(c.address)}}, Labels: model.LabelSet{}}
			for name, value := range c.group {
				g.Labels[model.LabelName(name)] = model.LabelValue(value)
			}
			b := labels.NewBuilder(labels.EmptyLabels())
			targets, failures := scrape.TargetsFromGroup(g, theirs.ScrapeConfigs[0], nil, b)
			if (len(failures) > 0) != (err != nil) {
				t.Fatalf("Prometheus says %v; the error is %v", failures, err)
			}
			// Prometheus drops a target without labels later.
			if err == nil && keep != (targets[0].Labels(b).Len() > 0) {
				t.Fatalf("kept: %t, Prometheus has %v", keep, targets)
			}
			if err != nil || !keep {
				return
			}
			if got, want := e.labels.String(), targets[0].Labels(b).String(); got != want {
				t.Errorf("labels %s, Prometheus has %s", got, want)
			}
			if got, want := e.url.String(), targets[0].URL().String(); got != want {
				t.Errorf("URL %s, Prometheus has %s", got, want)
			}
		})
	}
}

// TestAddressAsURL checks that a URL replaces scheme, path and parameters of the settings, and that its query stays as it is written if
// there are no other parameters.
func TestAddressAsURL(t *testing.T) {
	for address, want := range map[string]struct {
		params map[string]string
		url    string
	}{
		"https://h:1/m?x&b=%31": {nil, "https://h:1/m?x&b=%31"},
		"https://h:1/m?b=2":     {map[string]string{"a": "1", "b": "1"}, "https://h:1/m?a=1&b=2"},
		"http://h":              {nil, "http://h/path"},
		"http://h/":             {nil, "http://h/"},
		"[::1]:9100":            {nil, "https://[::1]:9100/path"},
		"h":                     {map[string]string{"a": "ä&"}, "https://h/path?a=" + url.QueryEscape("ä&")},
	} {
		c := Kind.Defaults().(*Config)
		c.Scheme, c.MetricsPath = "https", "/path"
		text := "{params: {"
		for name, value := range want.params {
			text += name + ": [\"" + value + "\"], "
		}
		if err := yaml.Load([]byte(text+"}}"), c); err != nil {
			t.Fatal(err)
		}
		c.Targets = addresses(t, address)
		made, err := newEndpoints(c, "node")
		if err != nil {
			t.Fatal(err)
		}
		e, _, err := made.of(&c.Targets[0], &discovery.Group{})
		if err != nil || e.url.String() != want.url {
			t.Errorf("%s is scraped at %s, %v; want %s", address, e.url.String(), err, want.url)
		}
	}
}

// TestHostileAddresses checks which results of relabelling are refused: an address that is not only a host and a port, a scheme other than
// http and https, and a label that is not UTF-8.
func TestHostileAddresses(t *testing.T) {
	for _, labels := range []map[string]string{
		{"to": "user:secret@h"},
		{"to": "h/path"},
		{"to": "h?x"},
		{"to": "h#x"},
		{"to": "h x"},
		{"to": "%zz"},
		{"to": "h\n"},
		{"to": ":1"},
		{"to": "h", "__scheme__": "file"},
		{"to": "h", "__scheme__": "gopher"},
		{"to": "h", "x": "\xff"},
	} {
		c := Kind.Defaults().(*Config)
		if err := yaml.Load([]byte("{targets: [h], relabel_configs: [{source_labels: [to], target_label: __address__}]}"), c); err != nil {
			t.Fatal(err)
		}
		made, err := newEndpoints(c, "node")
		if err != nil {
			t.Fatal(err)
		}
		if e, keep, err := made.of(&c.Targets[0], &discovery.Group{Labels: labels}); err == nil || keep {
			t.Errorf("%q is scraped at %s", labels, e.url.String())
		}
	}
}

// TestUnixSockets checks that a target can be a unix socket, also if a proxy is set. The socket is in the settings, or in the label that
// Prometheus has for it. A list from a server cannot name a socket.
func TestUnixSockets(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"a.sock", "b.sock"} {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "x{host=%q,path=%q} %d\n", r.Host, r.URL.Path, i+1)
		})}
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(l) }()
		t.Cleanup(func() {
			server.Close()
			<-ended
		})
	}
	a, b := "unix://"+filepath.Join(dir, "a.sock"), filepath.Join(dir, "b.sock")
	s := sourceOf(t, func(c *Config) {
		c.Targets = addresses(t, a)
		c.MetricsPath, c.ProxyURL = "/m", "http://127.0.0.1:1"
		c.FileSD.Files = []string{"b.yaml"}
	})
	text := "[{targets: [b.test], labels: {__unix_socket__: " + b + "}}, {targets: [unix:///nonexistent/c.sock]}]"
	if err := os.WriteFile(filepath.Join(s.env.Dir, "b.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := collect(t, s)
	defer func() {
		for _, x := range s.targets {
			x.client.CloseIdleConnections()
		}
	}()
	want := map[string]float64{
		fmt.Sprintf(`x{host="localhost",instance=%q,job="node",path="/m"}`, a): 1,
		`x{host="b.test",instance="b.test",job="node",path="/m"}`:              2,
	}
	if diff := cmp.Diff(want, got.scraped()); diff != "" {
		t.Errorf("- wanted, + got:\n%s", diff)
	}
	if !strings.Contains(got.problem(), "/nonexistent/c.sock") {
		t.Errorf("the problem is %q", got.problem())
	}
	for address, label := range map[string]map[string]string{"h": {"__unix_socket__": b}, a: nil} {
		if _, keep, err := s.made.of(&addresses(t, address)[0], &discovery.Group{Labels: label, IsRemote: true}); keep || !errors.Is(err, discovery.ErrRemoteSocket) {
			t.Errorf("a list from a server: %t, %v", keep, err)
		}
	}
	for _, bad := range []string{"unix://relative", "unix://", "unix:///a\x00"} {
		if err := new(Address).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is an address", bad)
		}
	}
}
