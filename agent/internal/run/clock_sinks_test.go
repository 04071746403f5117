package run

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang/snappy"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/pushgateway"
	"github.com/collectington/collectington/sinks/remotewrite"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// samples is a receiver of remote-write 2.0 that keeps the samples of the job's total, in the order in which they came.
type samples struct {
	mu  sync.Mutex
	all []wire.Item
	bad error
}

func (s *samples) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	packed, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, err := snappy.Decode(nil, packed)
	n := 0
	if err == nil {
		for item, wrong := range (wire.Request{Protocol: wire.V2, Raw: raw}).Items() {
			if wrong != nil {
				err = wrong
				break
			}
			if n++; item.Labels.Get("job") == "j" {
				s.all = append(s.all, *item)
			}
		}
	}
	if err != nil {
		s.bad = err
	}
	w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(n))
	w.Header().Set("X-Prometheus-Remote-Write-Histograms-Written", "0")
}

// realSinks returns sinks of all kinds that send, on a network: remote-write from memory and from a spool, and a Pushgateway.
func realSinks(t *testing.T, c *clocked, net *memnet.Network) []Sink {
	t.Helper()
	env := func(name string) sinks.Env {
		return sinks.Env{
			Name: name, Log: slog.New(slog.NewTextHandler(&c.log, nil)), Clock: c.Clock, Stats: &sinks.Stats{}, Instance: "i", Drain: Drain,
			Web: &httpclient.Host{Secrets: new(setting.SecretStore), Dial: net.Dial},
		}
	}
	url := func(to string) (u setting.URL) {
		if err := u.UnmarshalText([]byte(to)); err != nil {
			t.Fatal(err)
		}
		return u
	}
	var all []Sink
	add := func(name string, config sinks.Config) {
		e := env(name)
		s, err := config.New(e)
		if err != nil {
			t.Fatal(err)
		}
		planned := planSink(name, s)
		planned.Stats = e.Stats
		all = append(all, planned)
	}
	for _, name := range []string{"memory", "spool"} {
		config := remotewrite.Kind.Defaults().(*remotewrite.Config)
		config.URL, config.Protocol = url("http://"+name+"/api/v1/write"), remotewrite.Protocol2
		if name == "spool" {
			config.Spool.Dir = t.TempDir()
		}
		add(name, config)
	}
	add("push", &pushgateway.Config{URL: url("http://push")})
	return all
}

// TestClockJumpsInEverySink checks what the receiver of each kind of sink gets when the clock jumps. It gets the value of each run once,
// in order, with the time of its batch. No total starts after its sample.
func TestClockJumpsInEverySink(t *testing.T) {
	for _, by := range steps() {
		for _, moment := range []string{between, inTick, suspended} {
			for _, spec := range []string{"@every 10s", "*/10 * * * * *"} {
				t.Run(fmt.Sprintf("%s/%s/%s", by, moment, spec), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { jumpIntoSinks(t, by, moment, spec) })
				})
			}
		}
	}
}

func jumpIntoSinks(t *testing.T, by time.Duration, moment, spec string) {
	net, gateway := memnet.NewNetwork(), peers.NewPushgateway(t)
	receivers := map[string]*samples{"memory": {}, "spool": {}}
	for name, r := range receivers {
		net.Serve(t, name+":80", r)
	}
	net.Serve(t, "push:80", gateway)
	var all []Sink
	c := newClocked(t, spec, nil, func(c *clocked) []Sink { all = realSinks(t, c, net); return all })
	time.Sleep(time.Minute)
	c.jump(by, moment)
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	if err := c.stop(); err != nil {
		t.Error(err)
	}
	for _, s := range all {
		if dropped := s.Stats.Dropped(); len(dropped) > 0 || s.Stats.Failed.Load() > 0 {
			t.Errorf("%s: dropped %v, %d failed", s.Name, dropped, s.Stats.Failed.Load())
		}
	}
	want := c.sink.batches
	for name, r := range receivers {
		// Perhaps a receiver does not know when a total has started. So remote-write can send a zero before the first sample.
		if len(r.all) > 0 && r.all[0].Value == 0 {
			r.all = r.all[1:]
		}
		if r.bad != nil || len(r.all) != len(want) {
			t.Errorf("%s: %d samples came, want %d; %v", name, len(r.all), len(want), r.bad)
			continue
		}
		for i, got := range r.all {
			if got.Value != float64(i+1) || got.Time != want[i].Time.UnixMilli() || got.Start >= got.Time {
				t.Errorf("%s: sample %d is %v at %s since %s, want %d at %s", name, i, got.Value, time.UnixMilli(got.Time), time.UnixMilli(got.Start), i+1, want[i].Time)
			}
		}
	}
	if shown := fmt.Sprintf("{instance=\"i\",job=\"j\"} %d\n", len(want)); !strings.Contains(gateway.Text(t), shown) {
		t.Errorf("the Pushgateway shows\n%s, want %s", gateway.Text(t), shown)
	}
}
