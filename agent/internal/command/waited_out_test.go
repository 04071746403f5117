package command_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

const waitedOut = `
external_labels: {instance: a}
sinks:
  push: {pushgateway: {url: "http://push.test", basic_auth: {username: u, password: "file:password"}}}
  write: {remote_write: {url: "http://write.test/api/v1/write", basic_auth: {username: u, password: "file:password"}}}
jobs:
  daily: {schedule: "@every 24h", http: {url: "http://api.test/"}, metrics: {daily: {type: gauge, value: .total}}}
  often: {schedule: "@every 60s", http: {url: "http://api.test/"}, metrics: {often: {type: gauge, value: .total}}}
`

// TestWrongPasswordIsWaitedOut checks both kinds of receivers. Samples must wait as long as the password is wrong. This includes the
// sample of a job that runs once a day. Each sink logs this only twice an hour and drops nothing. It delivers everything when the
// password is right.
func TestWrongPasswordIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, gateway, prometheus := memnet.NewNetwork(), peers.NewPushgateway(t), peers.NewPrometheus(t)
		guarded := func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, password, _ := r.BasicAuth(); password != "pass-1" {
					http.Error(w, "wrong password", http.StatusUnauthorized)
					return
				}
				h.ServeHTTP(w, r)
			})
		}
		net.Serve(t, "api.test:80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"total": 7}`)) }))
		net.Serve(t, "push.test:80", guarded(gateway))
		net.Serve(t, "write.test:80", guarded(prometheus))
		file := write(t, "cton.yaml", waitedOut)
		password := strings.TrimSuffix(file, "cton.yaml") + "password"
		if err := os.WriteFile(password, []byte("pass-0"), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, log strings.Builder
		ctx, cancel := context.WithCancel(t.Context())
		code := make(chan int, 1)
		go func() { code <- faultyApp(&out, &log, net).Main(ctx, []string{"run", "-c", file}) }()
		time.Sleep(time.Hour)
		if err := os.WriteFile(password, []byte("pass-1"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		cancel()
		if got := <-code; got != 0 {
			t.Fatalf("exit code %d\n%s", got, log.String())
		}
		if text := gateway.Text(t); !strings.Contains(text, `daily{instance="a",job="daily"} 7`) || !strings.Contains(text, `often{instance="a",job="often"} 7`) {
			t.Errorf("the Pushgateway has\n%s", text)
		}
		at := time.Now()
		if n := prometheus.Value(t, at, `count_over_time(often[2h])`); n < 60 {
			t.Errorf("Prometheus has %v samples of often", n)
		}
		if n := len(prometheus.Vector(t, at, `daily{instance="a"} == 7`)); n != 1 {
			t.Errorf("Prometheus has %d series of daily", n)
		}
		for _, line := range []string{ // each is logged at the beginning, and after 10 minutes
			"sink=push error=\"push to http://push.test: job daily: 401 Unauthorized: wrong password: check basic_auth",
			"sink=write error=\"POST http://write.test/api/v1/write: 401 Unauthorized: wrong password (check basic_auth",
		} {
			if n := strings.Count(log.String(), line); n != 2 {
				t.Errorf("%d lines of %q in\n%s", n, line, log.String())
			}
		}
	})
}
