package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
)

// shape describes the records that the generator serves.
type shape struct {
	record func(b []byte, i int, values [3]string) []byte // appends record i as JSON to b
	labels func(i int) string                             // returns the labels of record i's series, in the text format
}

// fields are the names of the numbers in a record. Each number is a gauge, whose name is metricPrefix and the name of the field.
var fields = [3]string{"open", "resolved", "latency_seconds"}

// metricPrefix is the prefix of the names of the workload's metrics. The receiver counts only these metrics as samples.
const metricPrefix = "records_"

// shapes returns the shapes of records by name.
//
// Flat records have four labels, one of which is an ID, two integers and a number with six decimals. Deep records are nested four
// levels deep, and have six labels and three numbers with up to fifteen digits. Both also have fields that no metric uses.
func shapes() map[string]shape {
	return map[string]shape{
		"flat": {
			record: func(b []byte, i int, v [3]string) []byte {
				return fmt.Appendf(b, `{"id":"rec-%06d","team":{"name":"team-%02d","region":%q},"stack":%q,"open":%s,"resolved":%s,"latency_seconds":%s,`+
					`"extra":{"title":"Check of service %d","owner":"owner-%d","link":"https://tracker.example.com/team-%02d/rec-%06d","note":"none"}}`,
					i, i%50, region(i), stack(i), v[0], v[1], v[2], i, i*7919%64, i%50, i)
			},
			labels: func(i int) string {
				return fmt.Sprintf(`{id="rec-%06d",team="team-%02d",region=%q,stack=%q}`, i, i%50, region(i), stack(i))
			},
		},
		"deep": {
			record: func(b []byte, i int, v [3]string) []byte {
				return fmt.Appendf(b, `{"meta":{"account":"acc-%04d","place":{"region":%q,"zone":"z%d","cluster":{"name":"cl-%d"}}},`+
					`"host":{"name":"host-%04d.example.com","tags":["a","b",{"rack":%d}]},"uid":"%016x",`+
					`"stats":{"now":{"values":{"open":%s,"resolved":%s,"latency_seconds":%s},"unit":"s"},"before":{"open":0,"resolved":null}}}`,
					i%40, region(i), i%3, i%7, i%500, i%48, uid(i), v[0], v[1], v[2])
			},
			labels: func(i int) string {
				return fmt.Sprintf(`{account="acc-%04d",cluster="cl-%d",host="host-%04d.example.com",region=%q,uid="%016x",zone="z%d"}`,
					i%40, i%7, i%500, region(i), uid(i), i%3)
			},
		},
	}
}

func region(i int) string {
	return []string{"eu-west-1", "eu-north-1", "us-east-1", "us-west-2", "ap-south-1", "sa-east-1"}[i/50%6]
}
func stack(i int) string { return []string{"production", "staging", "development"}[i%3] }
func uid(i int) uint64   { return uint64(i+1) * 0x9e3779b97f4a7c15 }

// generator is the API and the exporter that the programs read. Each answer has other values than the previous answer.
//
//	GET /SHAPE/records?n=N    {"data": [RECORD, …]}
//	GET /SHAPE/metrics?n=N    the same 3·N series in the Prometheus text format
type generator struct {
	served  atomic.Int64 // number of samples in the answers that were written completely
	calls   atomic.Int64 // number of answers
	stopped atomic.Bool  // if true, all requests are answered with 503, so that the samples that were served before can arrive
	buffers sync.Pool    // of *[]byte
}

func (g *generator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	s, known := shapes()[r.PathValue("shape")]
	switch {
	case err != nil || n < 1 || n > 1_000_000 || !known:
		http.Error(w, "want /SHAPE/records?n=N or /SHAPE/metrics?n=N", http.StatusBadRequest)
		return
	case g.stopped.Load():
		http.Error(w, "the measurement is over", http.StatusServiceUnavailable)
		return
	}
	call := g.calls.Add(1)
	buffer, _ := g.buffers.Get().(*[]byte)
	if buffer == nil {
		buffer = new([]byte)
	}
	defer g.buffers.Put(buffer)
	if r.PathValue("form") == "metrics" {
		*buffer = appendPage((*buffer)[:0], s, r.PathValue("shape"), n, call)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	} else {
		*buffer = appendRecords((*buffer)[:0], s, r.PathValue("shape"), n, call)
		w.Header().Set("Content-Type", "application/json")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(*buffer)))
	if _, err := w.Write(*buffer); err == nil {
		g.served.Add(int64(len(fields) * n))
	}
}

func appendRecords(b []byte, s shape, name string, n int, call int64) []byte {
	b = append(b, `{"data":[`...)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = s.record(b, i, valuesOf(name, i, call))
	}
	return append(b, "]}\n"...)
}

func appendPage(b []byte, s shape, name string, n int, call int64) []byte {
	for k, field := range fields {
		b = fmt.Appendf(b, "# HELP %[1]s%[2]s A field of the record.\n# TYPE %[1]s%[2]s gauge\n", metricPrefix, field)
		for i := range n {
			b = fmt.Appendf(b, "%s%s%s %s\n", metricPrefix, field, s.labels(i), valuesOf(name, i, call)[k])
		}
	}
	return b
}

// valuesOf returns the numbers of record i in an answer. The argument "call" is the number of the answer.
func valuesOf(shape string, i int, call int64) (v [3]string) {
	r := rand.New(rand.NewPCG(uint64(call), uint64(i)))
	if shape == "deep" {
		for k := range v {
			v[k] = strconv.FormatFloat(1000*r.Float64(), 'f', 12, 64)
		}
		return v
	}
	v[0] = strconv.Itoa(r.IntN(500))
	v[1] = strconv.FormatInt(int64(i%997)+7*call+r.Int64N(7), 10)
	v[2] = strconv.FormatFloat(3*r.Float64(), 'f', 6, 64)
	return v
}
