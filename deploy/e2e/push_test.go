//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/prompb"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
)

const pushedConfig = `
sinks:
  tsdb: {remote_write: {url: "%s/api/v1/write", spool: {dir: spool}}}
jobs:
  pushes:
    schedule: "@every 1s"
    receive: {listen: "%s", dir: groups, add_up: %t, remote_write: true}
`

// pushTarget is an agent that receives pushes and passes them on to a Prometheus.
type pushTarget struct {
	to     *receiver
	root   string
	launch func() *process
}

func newPushed(ctx context.Context, t *testing.T, addUp bool) *pushTarget {
	t.Helper()
	address := freeAddress(t)
	r := newPrometheus(t, address, "http://"+address, nil)
	r.start(t)
	poll(ctx, t, "wait for the receiver", func() error {
		_, _, _, err := r.query.Query(ctx, "up", time.Now())
		return err
	})
	listen := freeAddress(t)
	config := write(t, t.TempDir(), "cton.yaml", fmt.Sprintf(pushedConfig, r.root, listen, addUp))
	p := &pushTarget{to: r, root: "http://" + listen}
	p.launch = func() *process {
		agent := start(t, env(t, "CTON"), "run", "-c", config)
		for until := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if resp, err := http.Get(p.root + "/-/ready"); err == nil {
				resp.Body.Close()
				return agent
			}
			if time.Now().After(until) {
				t.Fatal("the agent does not listen")
			}
		}
	}
	return p
}

// send sends a request and returns its status; 0 if there was no answer.
func (p *pushTarget) send(method, path string, body []byte) int {
	req, err := http.NewRequest(method, p.root+path, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

// value returns the value of a query with one result.
func (p *pushTarget) value(ctx context.Context, query string) (float64, error) {
	v, _, _, err := p.to.query.Query(ctx, query, time.Now())
	if err != nil {
		return 0, err
	}
	if vector := v.(model.Vector); len(vector) == 1 {
		return float64(vector[0].Value), nil
	}
	return 0, fmt.Errorf("%s is %v", query, v)
}

// has waits until queries have the wanted values.
func (p *pushTarget) has(ctx context.Context, t *testing.T, want map[string]float64) {
	t.Helper()
	for query, n := range want {
		poll(ctx, t, query, func() error {
			if got, err := p.value(ctx, query); err != nil || got != n {
				return fmt.Errorf("%v, %w; want %v", got, err, n)
			}
			return nil
		})
	}
}

const pythonPush = `
import sys
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, push_to_gateway, pushadd_to_gateway, delete_from_gateway, instance_ip_grouping_key
root = sys.argv[1]
registry = CollectorRegistry()
done = Counter("python_done", "Items done.", ["kind"], registry=registry)
done.labels("a").inc(3)
took = Histogram("python_took_seconds", "Duration.", buckets=[1, 2], registry=registry)
took.observe(1.5)
push_to_gateway(root, job="py/job", grouping_key={"site": "a/b", "none": ""}, registry=registry)
more = CollectorRegistry()
Gauge("python_last", "Last.", registry=more).set(7)
pushadd_to_gateway(root, job="py/job", grouping_key={"site": "a/b", "none": ""}, registry=more)
push_to_gateway(root, job="gone", grouping_key=instance_ip_grouping_key(), registry=registry)
delete_from_gateway(root, job="gone", grouping_key=instance_ip_grouping_key())
`

// TestPushed checks that a Prometheus gets everything that is pushed with Debian's Python client and with curl, in text and in protobuf.
func TestPushed(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	p := newPushed(ctx, t, false)
	agent := p.launch()
	dir := t.TempDir()

	python := exec.CommandContext(ctx, "/usr/bin/python3", write(t, dir, "push.py", pythonPush), p.root)
	if _, err := exec.LookPath("/usr/bin/python3"); err != nil {
		python.Path = "python3"
		python.Path, _ = exec.LookPath("python3")
	}
	python.Env = append(python.Environ(), "PYTHONPATH="+env(t, "PYTHON_CLIENT"))
	if out, err := python.CombinedOutput(); err != nil {
		t.Fatalf("python: %v\n%s", err, out)
	}

	var body bytes.Buffer
	family := &dto.MetricFamily{Name: proto.String("curl_native"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: &dto.Histogram{
		SampleCount: proto.Uint64(5), SampleSum: proto.Float64(9), Schema: proto.Int32(0), ZeroThreshold: proto.Float64(0.01), ZeroCount: proto.Uint64(1),
		PositiveSpan: []*dto.BucketSpan{{Offset: proto.Int32(1), Length: proto.Uint32(1)}}, PositiveDelta: []int64{4},
	}}}}
	if _, err := protodelim.MarshalTo(&body, family); err != nil {
		t.Fatal(err)
	}
	text, binary := write(t, dir, "text", "# TYPE curl_text gauge\ncurl_text{a=\"b\"} 3.14\n"), write(t, dir, "protobuf", body.String())
	for _, args := range [][]string{
		{"--data-binary", "@" + text, p.root + "/metrics/job/curl/instance/x"},
		{"-X", "PUT", "--data-binary", "@" + binary, "-H", "Content-Type: application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", p.root + "/metrics/job@base64/Y3VybC8y"},
	} {
		out, err := exec.CommandContext(ctx, "curl", append([]string{"-sS", "--fail-with-body"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("curl: %v\n%s", err, out)
		}
	}
	p.has(ctx, t, map[string]float64{
		`python_done_total{job="py/job",site="a/b",kind="a",instance=""}`: 3,
		`python_took_seconds_bucket{job="py/job",site="a/b",le="2.0"}`:    1,
		`python_last{job="py/job",site="a/b"}`:                            7,
		`curl_text{job="curl",instance="x",a="b"}`:                        3.14,
		`curl_native_count{job="curl/2",instance=""}`:                     5, // this Prometheus does not accept native histograms
		`count(push_time_seconds)`:                                        3,
		`max(push_failure_time_seconds)`:                                  0,
	})
	agent.stop(t, 20*time.Second)
}

// TestPushedKilled kills the agent while others push to it. It checks that the total contains each answered push exactly once, and each
// push without an answer at most once. In the Prometheus, the total never decreases. Each sample of an answered remote-write request
// arrives there.
func TestPushedKilled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := newPushed(ctx, t, true)
	dice := rand.New(rand.NewPCG(1, 1))
	answered, unknown, samples := 0, 0, 0
	for range 60 {
		agent := p.launch()
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			time.Sleep(time.Duration(dice.IntN(1500)) * time.Millisecond)
			agent.kill()
		}()
		for alive := true; alive; {
			switch p.send("PUT", "/metrics/job/batch", []byte("# TYPE runs_total counter\nruns_total 1\n")) {
			case http.StatusOK:
				answered++
			default:
				unknown, alive = unknown+1, false
			}
			raw, err := (&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
				Labels:  []prompb.Label{{Name: "__name__", Value: "moved"}, {Name: "n", Value: fmt.Sprint(samples)}},
				Samples: []prompb.Sample{{Timestamp: time.Now().UnixMilli(), Value: 1}},
			}}}).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if p.send("POST", "/api/v1/write", snappy.Encode(nil, raw)) == http.StatusNoContent {
				samples++
			} else {
				alive = false
			}
		}
		<-killed
	}
	agent := p.launch()
	var total float64
	poll(ctx, t, "the total", func() error {
		var err error
		if total, err = p.value(ctx, `runs_total{job="batch"}`); err != nil || total < float64(answered) || total > float64(answered+unknown) {
			return fmt.Errorf("%v, %w; want %d to %d", total, err, answered, answered+unknown)
		}
		return nil
	})
	p.has(ctx, t, map[string]float64{`resets(runs_total{job="batch"}[10m])`: 0})
	poll(ctx, t, "the samples", func() error {
		n, err := p.value(ctx, `count(last_over_time(moved[10m]))`)
		if err != nil || n < float64(samples) {
			return fmt.Errorf("%v of %d, %w", n, samples, err)
		}
		return nil
	})
	t.Logf("%d pushes and %d samples were answered, %d not; the total is %v", answered, samples, unknown, total)
	if answered < 200 {
		t.Errorf("only %d pushes were answered", answered)
	}
	if list, _ := filepath.Glob(filepath.Join(filepath.Dir(agent.cmd.Args[len(agent.cmd.Args)-1]), "groups", "*.bad")); len(list) > 0 {
		t.Errorf("damaged: %s", strings.Join(list, " "))
	}
	agent.stop(t, 20*time.Second)
}
