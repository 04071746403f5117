package command_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/command"
)

// TestRunsOldFile checks the command line of the Python program, cton -s SERVICE -c CONFIG. There must be a page with what the service
// measures, and no page of another service.
func TestRunsOldFile(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"total": 1000}`))
	}))
	defer api.Close()
	own, other := freeAddress(t), freeAddress(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"config.json": strings.NewReplacer("API", api.URL, "OWN", port(t, own), "OTHER", port(t, other)).Replace(`{
	"port" : OTHER,
	"api_call_intervals" : 2,
	"log_level" : "WARNING",
	"services" : {
		"splunk" : {
			"port" : OWN,
			"service_class" : "SplunkApi",
			"service_module" : "splunk_api",
			"api_url" : "API",
			"prometheus_metrics_mapping" : { "counter" : [ "number_of_incidents" ] }
		},
		"other" : {
			"service_class" : "Other",
			"service_module" : "other",
			"api_url" : "API",
			"prometheus_metrics_mapping" : { "gauge" : [ "others" ] }
		}
	}
}`),
		"splunk_api.star": "def get_number_of_incidents():\n    return fetch()[\"total\"]\n\nregister_metric(\"number_of_incidents\", enable_delta_metric(get_number_of_incidents))\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := &demonstration{code: make(chan int, 1)}
	var ctx context.Context
	ctx, d.end = context.WithCancel(t.Context())
	app := command.App{Version: "test", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: &d.out, Err: &d.complaints}
	go func() { d.code <- app.Main(ctx, []string{"-s", "splunk", "-c", filepath.Join(dir, "config.json")}) }()
	page := "http://127.0.0.1:" + port(t, own) + "/metrics"
	d.until(t, "the metric", func() bool { return strings.Contains(get(page), "\nnumber_of_incidents_total 1000\n") })
	if text := get("http://127.0.0.1:" + port(t, other) + "/metrics"); text != "" {
		t.Errorf("the page of a service that does not run shows\n%s", text)
	}
	d.end()
	if code := d.wait(t, 30*time.Second); code != 0 || d.complaints.String() != "" {
		t.Errorf("exit code %d; at the file's level WARNING it logs\n%s", code, &d.complaints)
	}
}

func port(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
