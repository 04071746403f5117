package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// TestShapes checks, for each shape, that the API and the exporter show the same values and the same labels.
func TestShapes(t *testing.T) {
	for name, s := range shapes() {
		t.Run(name, func(t *testing.T) {
			const n, call = 7, 3
			var document struct{ Data []map[string]any }
			if err := json.Unmarshal(appendRecords(nil, s, name, n, call), &document); err != nil || len(document.Data) != n {
				t.Fatalf("%d records, %v", len(document.Data), err)
			}
			parser := expfmt.NewTextParser(model.LegacyValidation)
			families, err := parser.TextToMetricFamilies(bytes.NewReader(appendPage(nil, s, name, n, call)))
			if err != nil || len(families) != len(fields) {
				t.Fatalf("%d families, %v", len(families), err)
			}
			for i, record := range document.Data {
				leaves := map[string]bool{}
				collect(record, leaves)
				for _, f := range families {
					m := f.Metric[i]
					if value := fmt.Sprint(m.Gauge.GetValue()); !leaves[value] {
						t.Errorf("record %d does not have the value %s of %s", i, value, f.GetName())
					}
					for _, l := range m.Label {
						if !leaves[l.GetValue()] {
							t.Errorf("record %d does not have the label %s=%q", i, l.GetName(), l.GetValue())
						}
					}
				}
			}
		})
	}
}

// collect adds the text of every leaf of a JSON value.
func collect(v any, leaves map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			collect(x, leaves)
		}
	case []any:
		for _, x := range v {
			collect(x, leaves)
		}
	default:
		leaves[fmt.Sprint(v)] = true
	}
}

// TestReceiver checks that the receiver counts each sample of the workload once as a distinct sample, even if a sender sends the sample
// again. The receiver counts nothing else.
func TestReceiver(t *testing.T) {
	r := &receiver{}
	r.reset(true)
	send := func(contentType string, body []byte) int {
		q := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(snappy.Encode(nil, body)))
		q.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		r.write(w, q)
		return w.Code
	}
	first := &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{
		{Labels: []prompb.Label{{Name: "__name__", Value: "records_open"}, {Name: "id", Value: "1"}, {Name: "instance", Value: "a"}}, Samples: []prompb.Sample{{Value: 1, Timestamp: 5}, {Value: 2, Timestamp: 6}}},
		{Labels: []prompb.Label{{Name: "__name__", Value: "up"}}, Samples: []prompb.Sample{{Value: 1, Timestamp: 5}}},
	}}
	second := &writev2.Request{
		Symbols: []string{"", "__name__", "records_open", "id", "1", "2"},
		Timeseries: []writev2.TimeSeries{
			{LabelsRefs: []uint32{1, 2, 3, 4}, Samples: []writev2.Sample{{Value: 2, Timestamp: 6}}},
			{LabelsRefs: []uint32{1, 2, 3, 5}, Samples: []writev2.Sample{{Value: 2, Timestamp: 6}}},
		},
	}
	for _, q := range []struct {
		contentType string
		message     interface{ Marshal() ([]byte, error) }
	}{{"application/x-protobuf", first}, {"application/x-protobuf;proto=io.prometheus.write.v2.Request", second}} {
		body, err := q.message.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if code := send(q.contentType, body); code != http.StatusNoContent {
			t.Errorf("%s is answered by %d", q.contentType, code)
		}
	}
	if code := send("application/x-protobuf", []byte("x")); code != http.StatusBadRequest {
		t.Errorf("what is no request is answered by %d", code)
	}
	c := r.snapshot()
	if c.requests != 2 || c.all != 5 || c.samples != 4 || c.distinct != 3 || c.failures != 1 {
		t.Errorf("counts are %+v", c)
	}
}

// TestPrepare checks that the templates for the files and the command of every program can be executed.
func TestPrepare(t *testing.T) {
	for _, name := range []string{"TELEGRAF_BIN", "VMAGENT_BIN", "PROMETHEUS_BIN"} {
		t.Setenv(name, "/bin/"+name)
	}
	for _, w := range workloads() {
		list := programs(w.kind, "/bin/cton", "")
		if len(list) < 2 {
			t.Errorf("%s has %d programs, want cton and a peer", w.name, len(list))
		}
		for _, p := range list {
			argv, err := p.prepare(place{Work: t.TempDir(), Shape: w.shape, Interval: 5, Records: "http://api/", Port: "1"})
			if text := strings.Join(argv, " "); err != nil || strings.Contains(text, "{{") || strings.Contains(text, "CONFIG") {
				t.Errorf("%s of %s: %q, %v", p.name, w.name, text, err)
			}
		}
	}
}

var twoPrograms = []result{
	{Workload: "api", Program: "cton", CPU: 1, Memory: 60, Bytes: 12.5, Samples: 3},
	{Workload: "api", Program: "A & B", CPU: 16, Memory: 200, Bytes: 20, Samples: 3},
	{Workload: "api", Program: "cton", CPU: 2, Memory: 60, Bytes: 12.5, Samples: 3},
	{Workload: "api", Program: "cton", CPU: 9, Memory: 62, Bytes: 12.5, Samples: 3},
	{Workload: "kill", Program: "cton", Samples: 10, Lost: 1, Twice: 2, Memory: 3},
}

func TestTables(t *testing.T) {
	var b strings.Builder
	if err := writeTables(&b, twoPrograms); err != nil {
		t.Fatal(err)
	}
	const want = `
### JSON API → remote-write

| program | runs | CPU s a million samples | largest memory MiB | bytes a sample |
|---|---|---|---|---|
| cton | 3 | 2.00 (1.00–9.00) | 60 (60–62) | 12.5 |
| A & B | 1 | 16.00 | 200 | 20.0 |

### Receiver away, kill -9 in the middle

| program | runs | samples served | lost | arrived twice | largest memory MiB |
|---|---|---|---|---|---|
| cton | 1 | 10 | 1 | 2 | 3 |
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestMedianOfTwo(t *testing.T) {
	got := spreadOf([]result{{CPU: 4}, {CPU: 1}}, func(r result) float64 { return r.CPU })
	if want := (spread{2.5, 1, 4}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestChart(t *testing.T) {
	var b strings.Builder
	if err := writeChart(&b, twoPrograms, "Today & here"); err != nil {
		t.Fatal(err)
	}
	var widths []string
	for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, is := token.(xml.StartElement); is && e.Name.Local == "rect" {
			for _, a := range e.Attr {
				if a.Name.Local == "width" {
					widths = append(widths, a.Value)
				}
			}
		}
	}
	if diff := cmp.Diff([]string{"53", "430"}, widths); diff != "" {
		t.Errorf("the bars of 2 and 16: %s", diff)
	}
}
