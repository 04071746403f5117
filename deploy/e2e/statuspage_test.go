//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hostileName is a name with a script. Many pages show the name.
const hostileName = `<img src=x onerror=alert(1)>`

// TestStatusPage checks every page in a real browser: wide and narrow, light and dark, while all is well, during an outage of the API
// and of the receiver, after samples were dropped, and while the sink catches up. If the variable SCREENSHOTS names a folder, the test
// writes pictures to it.
func TestStatusPage(t *testing.T) {
	t.Parallel()
	if os.Getenv("CHROMIUM") == "" {
		t.Skip("there is no Chromium")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	w := startWatched(ctx, t)
	b := startBrowser(ctx, t)

	w.look(ctx, t, b, "well")

	w.apiDown.Store(true)
	w.receiverCode.Store(http.StatusServiceUnavailable)
	b.open(ctx, t, w.page+"/", 1280, "light")
	b.until(ctx, t, `document.querySelector("[data-part='problems']").innerText.includes("503")`) // by events alone
	b.until(ctx, t, `document.querySelectorAll(".problems li").length >= 2`)
	w.look(ctx, t, b, "outage")

	w.receiverCode.Store(http.StatusBadRequest)
	b.open(ctx, t, w.page+"/", 1280, "light")
	b.until(ctx, t, `document.body.innerText.includes("dropped in the last hour")`)
	w.look(ctx, t, b, "drop")

	w.apiDown.Store(false)
	w.receiverCode.Store(http.StatusServiceUnavailable)
	time.Sleep(3 * time.Second)
	w.slow.Store(true)
	w.receiverCode.Store(http.StatusNoContent)
	w.look(ctx, t, b, "catch-up")
	b.open(ctx, t, w.page+"/", 1280, "light")
	b.until(ctx, t, `!document.querySelector(".problems li.error")`)

	// A click starts an action. Events then make the page show the action's result.
	b.open(ctx, t, w.page+"/jobs/nightly", 1280, "light")
	before := w.asked.Load()
	b.eval(ctx, t, `document.querySelector("form[action$='/run'] button").click()`)
	b.until(ctx, t, `document.readyState === "complete" && document.querySelector("h1")?.innerText.includes("ok")`)
	if w.asked.Load() == before {
		t.Error("the job was not run")
	}
	if bad := b.complaints(); bad != "" {
		t.Errorf("the console says:\n%s", bad)
	}
}

// watchedAgent is an agent whose API and receiver fail when a test wants them to fail.
type watchedAgent struct {
	page         string
	apiDown      atomic.Bool
	slow         atomic.Bool
	receiverCode atomic.Int32
	asked        atomic.Int64
}

func startWatched(ctx context.Context, t *testing.T) *watchedAgent {
	t.Helper()
	w := &watchedAgent{}
	w.receiverCode.Store(http.StatusNoContent)
	began := time.Now()
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		w.asked.Add(1)
		if w.apiDown.Load() {
			http.Error(rw, hostileName, http.StatusServiceUnavailable)
			return
		}
		n := int(time.Since(began).Seconds())
		fmt.Fprintf(rw, `{"total": %d, "items": [{"name": %q, "n": %d}, {"name": "search", "n": %d}, {"name": "payments", "n": null}]}`, n, hostileName, n%7, n%5)
	}))
	t.Cleanup(api.Close)
	receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if w.slow.Load() {
			time.Sleep(300 * time.Millisecond)
		}
		code := int(w.receiverCode.Load())
		if code >= 400 {
			http.Error(rw, "out of order sample "+hostileName, code)
			return
		}
		rw.WriteHeader(code)
	}))
	t.Cleanup(receiver.Close)
	dir, page := t.TempDir(), freeAddress(t)
	config := write(t, dir, "cton.yaml", fmt.Sprintf(`
web: {listen: %q, actions: true, watch: [items_total, 'items_open{name="search"}', degrees]}
state_file: state
sinks:
  page: {expose: {listen: %q}}
  mimir: {remote_write: {url: "%s/push", spool: {dir: spool}}}
jobs:
  oncall:
    schedule: "@every 1s"
    http: {url: "%s/items", headers: {X-Api-Key: literal-marker-1234}}
    metrics:
      items_total: {type: counter, help: H., value: .total}
      items_open: {type: gauge, help: H., items: ".items[]", value: .n, labels: {name: .name}}
  nightly: {schedule: "30 2 * * *", http: {url: "%s/nightly"}, metrics: {nightly_total: {type: counter, help: H., value: .total}}}
  weather: {schedule: "@every 2s", http: {url: "%s/weather"}, metrics: {degrees: {type: gauge, help: H., value: .degrees, missing: error}, weather_total: {type: counter, help: H., value: .total}}}
`, page, freeAddress(t), receiver.URL, api.URL, api.URL, api.URL))
	start(t, env(t, "CTON"), "run", "-c", config)
	w.page = "http://" + page
	waitForReady(ctx, t, w.page+"/-/ready")
	return w
}

// look opens every page in every width and color scheme, and checks it.
func (w *watchedAgent) look(ctx context.Context, t *testing.T, b *browser, phase string) {
	t.Helper()
	for name, path := range map[string]string{"overview": "/", "job": "/jobs/oncall", "failing": "/jobs/weather", "sink": "/sinks/mimir", "page": "/sinks/page"} {
		for _, width := range []int{1280, 390} {
			for _, scheme := range []string{"light", "dark"} {
				where := fmt.Sprintf("%s-%s-%d-%s", phase, name, width, scheme)
				b.open(ctx, t, w.page+path, width, scheme)
				if bad := b.eval(ctx, t, pale); bad != "" {
					t.Errorf("%s: %s", where, bad)
				}
				if bad := b.unnamed(ctx, t); len(bad) > 0 {
					t.Errorf("%s: without a name: %s", where, strings.Join(bad, ", "))
				}
				if bad := b.breaks(ctx, t); bad != "" {
					t.Errorf("%s: breaks rules of accessibility:\n%s", where, bad)
				}
				if html := b.eval(ctx, t, "document.documentElement.outerHTML"); strings.Contains(html, "literal-marker") || strings.Contains(html, "<img") {
					t.Errorf("%s shows a secret or has an element from outside", where)
				}
				if dir := os.Getenv("SCREENSHOTS"); dir != "" {
					b.screenshot(ctx, t, filepath.Join(dir, where+".png"))
				}
			}
		}
	}
	if bad := b.complaints(); bad != "" {
		t.Errorf("%s: the console says:\n%s", phase, bad)
	}
}
