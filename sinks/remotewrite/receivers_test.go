package remotewrite

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/collectington/collectington/sinks"
)

// What becomes of a sample: it is delivered, it waits for another response, or it is lost.
const (
	delivered = "delivered"
	waits     = "waits"
	refused   = "refused"
)

// TestWhatAnswers checks what becomes of a sample after responses of receivers, and of other servers in their place. The field "want" is
// for 1.0. The field "want2" is for 2.0 as the only protocol, if the result differs there.
func TestWhatAnswers(t *testing.T) {
	const (
		html  = "text/html; charset=utf-8"
		plain = "text/plain; charset=utf-8"
		json  = "application/json"
	)
	for _, c := range []struct {
		who     string
		code    int
		kind    string // Content-Type
		body    string
		written bool // it says what it has stored
		want    string
		want2   string // "" = want
		says    string // of the log, or of check
	}{
		{"Prometheus, 1.0", 204, "", "", false, delivered, waits, ""},
		{"Prometheus, 2.0", 204, "", "", true, delivered, "", ""},
		{"Prometheus, out of order", 400, plain, "out of order sample\n", false, refused, "", "out of order sample"},
		{"Prometheus without the receiver", 404, plain, "remote write receiver needs to be enabled with --web.enable-remote-write-receiver\n", false, waits, "", "start Prometheus with"},
		{"Prometheus that starts", 503, plain, "Service Unavailable", false, waits, "", "503"},
		{"Mimir and Cortex", 200, "", "", false, delivered, waits, ""},
		{"Mimir, 2.0", 200, "", "", true, delivered, "", ""},
		{"Mimir, the replica is not elected", 202, plain, "replicas did not match, rejecting sample: replica=b, elected=a", false, delivered, "", ""},
		{"Mimir, too old", 400, plain, "the sample has been rejected because its timestamp is too old (err-mimir-sample-timestamp-too-old)", false, refused, "", "out_of_order_time_window"},
		{"Mimir without a tenant", 401, plain, "no org id\n", false, waits, "", "X-Scope-OrgID"},
		{"Mimir, too many requests", 429, plain, "the request has been rejected because the tenant exceeded the request rate limit (err-mimir-tenant-max-request-rate)", false, waits, "", "429"},
		{"VictoriaMetrics", 204, "", "", false, delivered, waits, ""},
		{"VictoriaMetrics, another path", 400, plain, "unsupported path requested: \"/x\"", false, refused, "", "unsupported path"},
		{"Thanos", 200, "", "", false, delivered, waits, ""},
		{"Thanos, out of order", 409, plain, "store locally for endpoint: out of order sample", false, refused, "", "out of order"},
		{"Thanos without its hashring", 503, plain, "hashring not ready", false, waits, "", "hashring not ready"},
		{"Grafana Cloud", 200, "", "", false, delivered, waits, ""},
		{"Grafana Cloud, credentials", 401, json, `{"status":"error","error":"authentication error: invalid authentication credentials"}`, false, waits, "", "invalid authentication credentials"},
		{"a receiver with a line of text", 200, plain, "OK", false, delivered, waits, ""},
		{"a receiver with JSON", 200, json, `{"accepted":1}`, false, delivered, waits, ""},
		{"a receiver of a framework whose default is HTML", 200, html, "", false, delivered, waits, ""},
		{"nginx, its first page", 200, html, "<!DOCTYPE html>\n<html><head><title>Welcome to nginx!</title></head></html>", false, waits, "", `a web page with the title \"Welcome to nginx!\"`},
		{"nginx, a static file", 405, html, "<html>\r\n<head><title>405 Not Allowed</title></head>", false, waits, "", "405 Not Allowed"},
		{"nginx, no TLS to a port with TLS", 400, html, "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>", false, waits, "", "plain HTTP request"},
		{"nginx, client_max_body_size", 413, html, "<html>\r\n<head><title>413 Request Entity Too Large</title></head>", false, refused, "", "lower request.max_samples"},
		{"nginx, its upstream is down", 502, html, "<html>\r\n<head><title>502 Bad Gateway</title></head>", false, waits, "", "502 Bad Gateway"},
		{"a captive portal", 200, html, "<HTML><HEAD><TITLE>\nSign in to\nHotel Wifi</TITLE>", false, waits, "", "Sign in to Hotel Wifi"},
		{"a captive portal without a type", 200, "", "\n<html>Please accept our terms", false, waits, "", "not a remote-write receiver"},
		{"a captive portal that knows RFC 6585", 511, html, "<html><title>Network Authentication Required</title>", false, waits, "", "511"},
		{"a login proxy with its form", 200, "application/xhtml+xml", "<?xml version='1.0'?><html><head><title>Log in</title>", false, waits, "", "not a remote-write receiver"},
		{"a login proxy", 403, html, "<html><title>Sign In</title>", false, waits, "", "Sign In"},
		{"a login proxy that redirects", 302, html, "<a href=\"/oauth2/start\">Found</a>.", false, waits, "", "set url to the address that it redirects to"},
		{"a login proxy with 422", 422, html, "<html><title>Session expired</title>", false, waits, "", "Session expired"},
	} {
		for _, p := range []Protocol{Protocol1, Protocol2} {
			t.Run(c.who+"/"+p.String(), func(t *testing.T) {
				want := c.want
				if p == Protocol2 && c.want2 != "" {
					want = c.want2
				}
				var accepts atomic.Bool
				d := &fakeReceiver{answer: func(w http.ResponseWriter, q request) {
					if accepts.Load() {
						acceptAll(w, q)
						return
					}
					if c.kind != "" {
						w.Header().Set("Content-Type", c.kind)
					} else {
						w.Header()["Content-Type"] = nil
					}
					if c.written {
						setWritten(w, len(q.points), 0)
					}
					w.WriteHeader(c.code)
					_, _ = w.Write([]byte(c.body))
				}}
				withReceiver(t, d, withProtocol(p), func(r *rig) {
					checked := r.sink.Check(context.Background())
					r.write("j", gauge("x", 1, "a"))
					r.tick()
					if got := whatBecame(r.stats); got != want {
						r.Errorf("the sample: %s, want %s:\n%s", got, want, r.log)
					}
					if want != delivered && !strings.Contains(r.log.String(), c.says) {
						r.Errorf("the log does not have %q:\n%s", c.says, r.log)
					}
					// Some receivers answer 400 to an empty request, so Check accepts this.
					if bad := c.want == waits || c.want == refused && c.code != 400; (checked != nil) != bad {
						r.Errorf("check: %v", checked)
					}
					accepts.Store(true)
					time.Sleep(maxPause)
					r.tick()
					if n := r.stats.Sent.Load(); n != 1 && want != refused {
						r.Errorf("Sent is %d in the end", n)
					}
				})
			})
		}
	}
}

func whatBecame(s *sinks.Stats) string {
	switch {
	case s.Sent.Load() == 1:
		return delivered
	case s.Dropped()[sinks.Refused] == 1:
		return refused
	case s.Pending().Samples == 1:
		return waits
	}
	return "lost"
}

// TestPortalForAWhile checks that with the protocol auto, a web page in the receiver's place does not cause a fallback to 1.0.
func TestPortalForAWhile(t *testing.T) {
	d := &fakeReceiver{answer: func(w http.ResponseWriter, _ request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html><title>Hotel</title>"))
	}}
	withReceiver(t, d, nil, func(r *rig) {
		for i := range 10 {
			r.write("j", gauge("x", float64(i), "a"))
			r.tick()
		}
		r.wantLogged("cannot deliver, trying again", 1)
		d.set(acceptAll)
		time.Sleep(maxPause)
		r.tick()
		for _, q := range d.all() {
			if q.protocol != Protocol2 {
				r.Errorf("a request is %s", q.protocol)
			}
		}
		if n := r.stats.Sent.Load(); n != 10 {
			r.Errorf("Sent is %d, want 10", n)
		}
	})
}

// TestAnswerOfARedirect checks responses after a redirect. Such a response counts as the receiver's if it says what was written, or if the
// path is the same as before the redirect.
func TestAnswerOfARedirect(t *testing.T) {
	for _, c := range []struct {
		to      string
		written bool
		want    int64
	}{{"/elsewhere", false, 0}, {"/elsewhere", true, 1}, {"/api/v1/write/", false, 1}} {
		mux := http.NewServeMux()
		mux.HandleFunc("/api/v1/write", func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, c.to, http.StatusTemporaryRedirect) })
		mux.HandleFunc(c.to, func(w http.ResponseWriter, _ *http.Request) {
			if c.written {
				setWritten(w, 1, 0)
			}
		})
		withReceiver(t, mux, func(config *Config, _ *sinks.Env) { config.Spool.MaxAge = 3e10 }, func(r *rig) {
			r.write("j", gauge("x", 1, "a"))
			r.tick()
			if n := r.stats.Sent.Load(); n != c.want {
				r.Errorf("%s: Sent is %d, want %d", c.to, n, c.want)
			}
			r.wantLogged("/elsewhere has answered after a redirect", 1-int(c.want))
		})
	}
}
