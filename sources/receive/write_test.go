package receive

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// TestWrite checks the answers to remote-write requests.
func TestWrite(t *testing.T) {
	var got metric.Stream
	var fails error
	c := defaults()
	c.Listen, c.RemoteWrite, c.MaxBody = "127.0.0.1:0", true, 10_000
	made, err := c.New(sources.Env{Log: slog.New(slog.DiscardHandler), MaxSeries: 100, Forward: func(_ context.Context, s metric.Stream) error {
		got = s
		return fails
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, made.(*source))
	good := prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "x"}}, Samples: []prompb.Sample{{Timestamp: 1, Value: 2}, {Timestamp: 0, Value: 3}}}
	bad := prompb.TimeSeries{Labels: []prompb.Label{{Name: "job", Value: "x"}}, Samples: []prompb.Sample{{Timestamp: 1}}}
	one, _ := (&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{good}}).Marshal()
	partial, _ := (&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{good, bad}}).Marshal()
	two, _ := (&writev2.Request{Symbols: []string{"", "__name__", "x"}, Timeseries: []writev2.TimeSeries{
		{LabelsRefs: []uint32{1, 2}, Samples: []writev2.Sample{{Timestamp: 1, Value: 2}, {Timestamp: 0, Value: 3}}},
		{LabelsRefs: []uint32{1, 9}, Samples: []writev2.Sample{{Timestamp: 1}}},
	}}).Marshal()
	pack := func(raw []byte) string { return string(snappy.Encode(nil, raw)) }
	const v2Type = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
	for _, x := range []struct {
		name, method, body, kind, encoding string
		fails                              error
		code                               int
		text                               string
		samples                            int
		written                            string
	}{
		{name: "1.0", body: pack(one), kind: "application/x-protobuf", code: 204, samples: 2},
		{name: "1.0 by name", body: pack(one), kind: "application/x-protobuf;proto=prometheus.WriteRequest", encoding: "snappy", code: 204, samples: 2},
		{name: "1.0 without a type", body: pack(one), code: 204, samples: 2},
		{name: "a part", body: pack(partial), code: 400, text: "1 samples are not valid, the others were accepted: the series {job=\"x\"} has no metric name", samples: 2},
		{name: "2.0, a part", body: pack(two), kind: v2Type, code: 400, text: "1 samples are not valid", samples: 2, written: "2"},
		{name: "full", body: pack(two), kind: v2Type, fails: errors.New("sinks.x: full"), code: 503, text: "the samples cannot be passed on: sinks.x: full", samples: 2, written: "0"},
		{name: "GET", method: "GET", code: 405},
		{name: "another type", body: pack(one), kind: "application/json", code: 415},
		{name: "another message", body: pack(one), kind: "application/x-protobuf;proto=x", code: 415},
		{name: "another encoding", body: pack(one), encoding: "gzip", code: 415},
		{name: "not compressed", body: "no snappy", code: 400, text: "decompress: corrupt input"},
		{name: "no protobuf", body: pack([]byte("no protobuf")), code: 400, text: "the request is not a valid prometheus.WriteRequest, which is an error of the sender: "},
		{name: "a bomb", body: pack(make([]byte, 10_001)), code: 413, text: "the request is larger than 10kB (max_body)"},
		{name: "too long", body: strings.Repeat("x", 10_001), code: 413, text: "the body is larger than 10kB (max_body)"},
	} {
		got, fails = nil, x.fails
		if x.method == "" {
			x.method = "POST"
		}
		req, _ := http.NewRequestWithContext(t.Context(), x.method, r.url+writePath, strings.NewReader(x.body))
		for name, value := range map[string]string{"Content-Type": x.kind, "Content-Encoding": x.encoding} {
			if value != "" {
				req.Header.Set(name, value)
			}
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != x.code || !strings.HasPrefix(string(text), x.text) {
			t.Errorf("%s: %d %s, want %d %s", x.name, resp.StatusCode, text, x.code, x.text)
		}
		if got.Samples() != x.samples {
			t.Errorf("%s: %d samples are passed on, want %d", x.name, got.Samples(), x.samples)
		}
		if w := resp.Header.Get("X-Prometheus-Remote-Write-Samples-Written"); w != x.written {
			t.Errorf("%s: %q samples were written, want %q", x.name, w, x.written)
		}
		if x.code == 503 && resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", x.name)
		}
	}
	c.RemoteWrite = false
	if code, _ := start(t, defaults()).ask(t, "POST", writePath, pack(one)); code != 405 {
		t.Errorf("without remote_write: %d", code)
	}
}
