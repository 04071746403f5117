package main

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// receiver receives remote-write requests of both versions (1 and 2) and counts what arrives.
type receiver struct {
	address string

	mu     sync.Mutex
	counts counts
	// seen has a hash of each pair of a series and a timestamp. So a sample that arrives twice counts once in counts.distinct. nil = distinct
	// samples are not counted.
	seen map[uint64]struct{}
	seed maphash.Seed

	arrived func() // called for each request, before the request is answered; nil = nothing is called

	server *http.Server
	done   chan struct{}
}

// counts is what a receiver has received since the last reset.
type counts struct {
	requests int64
	bytes    int64     // size of all request bodies, as sent
	all      int64     // number of all samples
	samples  int64     // number of samples of the workload's metrics, without staleness markers
	distinct int64     // number of different samples among them, if receiver.seen is not nil
	first    time.Time // when the first sample of the workload arrived
	last     time.Time // when the last sample of the workload arrived
	failures int64     // number of requests that could not be decoded
}

// open listens on the receiver's address. The first call chooses a free port.
func (r *receiver) open() error {
	l, err := net.Listen("tcp", cmp.Or(r.address, "127.0.0.1:0"))
	if err != nil {
		return err
	}
	r.address, r.done = l.Addr().String(), make(chan struct{})
	r.server = &http.Server{Handler: http.HandlerFunc(r.write)}
	go func(s *http.Server, done chan struct{}) {
		defer close(done)
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	}(r.server, r.done)
	return nil
}

// close closes the port and all connections, so that senders cannot reach the receiver.
func (r *receiver) close() {
	_ = r.server.Close()
	<-r.done
}

// reset sets all counts to 0. If the argument "judges" is true, the receiver also counts distinct samples, which shows whether samples
// arrive twice.
func (r *receiver) reset(judges bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts, r.seen = counts{}, nil
	if judges {
		r.seen, r.seed = map[uint64]struct{}{}, maphash.MakeSeed()
	}
}

func (r *receiver) snapshot() counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// wait waits until isWanted returns true for the counts. It returns false if ctx ends first.
func (r *receiver) wait(ctx context.Context, isWanted func(counts) bool) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !isWanted(r.snapshot()) {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

func (r *receiver) write(w http.ResponseWriter, q *http.Request) {
	got, err := r.read(q)
	if err != nil {
		r.mu.Lock()
		r.counts.failures++
		r.mu.Unlock()
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.add(got)
	if r.arrived != nil {
		r.arrived()
	}
	w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", strconv.FormatInt(got.all, 10))
	w.Header().Set("X-Prometheus-Remote-Write-Histograms-Written", "0")
	w.Header().Set("X-Prometheus-Remote-Write-Exemplars-Written", "0")
	w.WriteHeader(http.StatusNoContent)
}

// request is the content of one request.
type request struct {
	bytes, all int64       // size of the body, and number of all samples
	samples    []sampleKey // samples of the workload's metrics
}

// sampleKey identifies a sample: its series and its timestamp.
type sampleKey struct {
	series string
	time   int64
}

func (r *receiver) read(q *http.Request) (got request, err error) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return got, err
	}
	got.bytes = int64(len(body))
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		return got, err
	}
	if strings.Contains(q.Header.Get("Content-Type"), "io.prometheus.write.v2.Request") {
		return got, got.addV2(raw)
	}
	return got, got.addV1(raw)
}

func (got *request) addV1(raw []byte) error {
	var q prompb.WriteRequest
	if err := q.Unmarshal(raw); err != nil {
		return err
	}
	for i := range q.Timeseries {
		s := &q.Timeseries[i]
		var key strings.Builder
		for _, l := range s.Labels {
			appendKey(&key, l.Name, l.Value)
		}
		for _, p := range s.Samples {
			got.add(key.String(), p.Timestamp, p.Value)
		}
	}
	return nil
}

func (got *request) addV2(raw []byte) error {
	var q writev2.Request
	if err := q.Unmarshal(raw); err != nil {
		return err
	}
	for i := range q.Timeseries {
		s := &q.Timeseries[i]
		var key strings.Builder
		for k := 0; k+1 < len(s.LabelsRefs); k += 2 {
			if max(s.LabelsRefs[k], s.LabelsRefs[k+1]) >= uint32(len(q.Symbols)) {
				return errors.New("a reference beyond the symbols")
			}
			appendKey(&key, q.Symbols[s.LabelsRefs[k]], q.Symbols[s.LabelsRefs[k+1]])
		}
		for _, p := range s.Samples {
			got.add(key.String(), p.Timestamp, p.Value)
		}
	}
	return nil
}

// appendKey appends a label to the key of a series. It leaves out the labels that name the sender, since these labels change when the
// sender restarts.
func appendKey(b *strings.Builder, name, value string) {
	if name != "instance" && name != "job" {
		b.WriteString(name + "\xff" + value + "\xff")
	}
}

func (got *request) add(series string, at int64, v float64) {
	got.all++
	if strings.Contains(series, "__name__\xff"+metricPrefix) && !value.IsStaleNaN(v) && !math.IsNaN(v) {
		got.samples = append(got.samples, sampleKey{series, at})
	}
}

func (r *receiver) add(got request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.counts
	c.requests++
	c.bytes += got.bytes
	c.all += got.all
	c.samples += int64(len(got.samples))
	if len(got.samples) == 0 {
		return
	}
	c.last = time.Now()
	if c.first.IsZero() {
		c.first = c.last
	}
	if r.seen == nil {
		return
	}
	for _, k := range got.samples {
		r.seen[maphash.Comparable(r.seed, k)] = struct{}{}
	}
	c.distinct = int64(len(r.seen))
}
