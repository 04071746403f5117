package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// archive is an API that has a value for every minute. It shows the values of a window and of up to 20 minutes before the window. It is
// often busy.
type archive struct {
	mu   sync.Mutex
	dice *rand.Rand
}

func (a *archive) roll(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dice.IntN(n)
}

func (a *archive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch a.roll(12) {
	case 0:
		w.Header().Set("Retry-After", "40")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case 1:
		w.WriteHeader(http.StatusBadGateway)
		return
	case 2:
		time.Sleep(time.Duration(a.roll(5)) * time.Second)
	}
	from, _ := time.Parse(time.RFC3339, r.URL.Query().Get("from"))
	to, _ := time.Parse(time.RFC3339, r.URL.Query().Get("to"))
	var all []reading
	for at := from.Add(-time.Duration(a.roll(20)) * time.Minute); at.Before(to); at = at.Add(time.Minute) {
		all = append(all, reading{"a", at.Unix(), at.Unix() / 60 % 1000})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"readings": all})
}

// TestBackfillGoesOn checks a backfill that is stopped again and again, and continued each time with the command that it has printed. In
// the end, the receiver must have each point of the past once, and must have refused none. The receiver accepts the samples of a series
// only in order.
func TestBackfillGoesOn(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { goesOn(t, seed) })
		})
	}
}

func goesOn(t *testing.T, seed uint64) {
	dice := rand.New(rand.NewPCG(seed, 6))
	net, prometheus := memnet.NewNetwork(), peers.NewPrometheus(t)
	net.Serve(t, "api.test:80", &archive{dice: rand.New(rand.NewPCG(seed, 7))})
	net.Serve(t, "rw.test:80", prometheus)
	file := filepath.Join(t.TempDir(), "cton.yaml")
	if err := os.WriteFile(file, []byte(backfillConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	from := time.Date(1999, 12, 30, 0, 0, 0, 0, time.UTC)
	to := from.Add(10*time.Hour + 20*time.Minute)
	line := "cton backfill rooms --from 1999-12-30 --to 1999-12-30T10:20:00Z --step 10m -c " + file
	stops := 0
	for ; line != "" && stops < 60; stops++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(5+dice.IntN(60))*time.Second)
		var out, log strings.Builder
		app := command.App{Version: "test", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: &out, Err: &log, Dial: net.Dial}
		code := app.Main(ctx, strings.Fields(line)[1:])
		cancel()
		_, line, _ = strings.Cut(strings.TrimSpace(out.String()), "continue with: ")
		if code == 0 != (line == "") || code == 1 || code == 3 {
			t.Fatalf("exit code %d\n%s%s", code, out.String(), log.String())
		}
	}
	if line != "" || stops < 3 {
		t.Errorf("stopped %d times; left is %q", stops, line)
	}
	var want []string
	for at := from; at.Before(to); at = at.Add(time.Minute) {
		want = append(want, fmt.Sprintf("temp{} %d at %s\n", at.Unix()/60%1000, at.Format(time.RFC3339)))
	}
	got, err := prometheus.Stored("temp")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("stored are %d points, there were %d", len(got), len(want))
	}
}

const backfillConfig = `
sinks:
  rw: {remote_write: {url: "http://rw.test/api/v1/write"}}
jobs:
  rooms:
    schedule: "@every 60s"
    http: {url: "http://api.test/", query: {from: "{{ rfc3339 .Window.Start }}", to: "{{ rfc3339 .Window.End }}"}}
    metrics:
      temp: {type: gauge, items: ".readings[]", value: .value, time: .at}
`

// diary is an API that notes which days it is asked for.
type diary struct{ asked []string }

func (d *diary) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.asked = append(d.asked, strings.Join([]string{r.URL.Query().Get("day"), r.URL.Query().Get("from"), r.URL.Query().Get("to")}, " "))
	_, _ = fmt.Fprintf(w, `{"n": %d}`, len(d.asked))
}

// TestBackfillReadsAsTheJobDoes checks that a backfill reads the past in the stretches in which the job itself would have read it: the
// job's windows or, if it has none, the time from one due time to the next. This includes days on which the job's time zone changes to or
// from summer time.
func TestBackfillReadsAsTheJobDoes(t *testing.T) {
	for job, want := range map[string][]string{
		"days": {
			"1999-03-27 1999-03-26T22:00:00Z 1999-03-27T23:00:00Z",
			"1999-03-28 1999-03-27T22:00:00Z 1999-03-28T22:00:00Z", // of 23 hours
			"1999-03-29 1999-03-28T21:00:00Z 1999-03-29T22:00:00Z",
		},
		"due": {
			"1999-03-27 1999-03-27T00:00:00Z 1999-03-27T03:00:00Z",
			"1999-03-28 1999-03-27T03:00:00Z 1999-03-28T02:00:00Z", // of 23 hours
			"1999-03-29 1999-03-28T02:00:00Z 1999-03-29T02:00:00Z",
			"1999-03-29 1999-03-29T02:00:00Z 1999-03-30T00:00:00Z",
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			net, asked, prometheus := memnet.NewNetwork(), &diary{}, peers.NewPrometheus(t)
			net.Serve(t, "api.test:80", asked)
			net.Serve(t, "rw.test:80", prometheus)
			file := filepath.Join(t.TempDir(), "cton.yaml")
			if err := os.WriteFile(file, []byte(diaryConfig), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, log strings.Builder
			app := command.App{Version: "test", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: &out, Err: &log, Dial: net.Dial}
			if code := app.Main(t.Context(), []string{"backfill", job, "--from", "1999-03-27", "--to", "1999-03-30", "-c", file}); code != 0 {
				t.Fatalf("%s: exit code %d\n%s%s", job, code, out.String(), log.String())
			}
			if !slices.Equal(asked.asked, want) {
				t.Errorf("%s is asked for\n%s\nwant\n%s", job, strings.Join(asked.asked, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

const diaryConfig = `
sinks:
  rw: {remote_write: {url: "http://rw.test/api/v1/write"}}
jobs:
  days:
    schedule: "@every 10m"
    timezone: Europe/Oslo
    window: {length: 1d, overlap: 1h}
    http: &diary
      url: "http://api.test/"
      query:
        day: '{{ date "2006-01-02" (before "1h" .Window.End) }}'
        from: "{{ rfc3339 .Window.Start }}"
        to: "{{ rfc3339 .Window.End }}"
    metrics:
      n: {type: gauge, value: .n}
  due:
    schedule: "0 4 * * *"
    timezone: Europe/Oslo
    http: *diary
    metrics:
      m: {type: gauge, value: .n}
`
