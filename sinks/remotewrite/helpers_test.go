package remotewrite

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
)

// The documented pauses: the first and the longest between retries, and the longest Retry-After that is obeyed.
const (
	firstPause    = 100 * time.Millisecond
	maxPause      = 30 * time.Second
	maxRetryAfter = 5 * time.Minute
)

// staleNaN returns the value of a staleness marker.
func staleNaN() float64 { return math.Float64frombits(value.StaleNaN) }

// rig is a sink under test, in a bubble of fake time.
type rig struct {
	testing.TB
	sink   *sink
	config *Config
	stats  *sinks.Stats
	log    *lockedBuffer
	stop   func() // ends Run and waits for it
	began  time.Time
}

// lockedBuffer is a strings.Builder that is safe for concurrent use.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// servedBy is a header of requests that names the address that has received them.
const servedBy = "X-Served-By"

// withReceiver runs the function "test" with a sink that sends to the handler. The function "change" can change the settings and the
// environment.
func withReceiver(t *testing.T, handler http.Handler, change func(*Config, *sinks.Env), test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := memnet.NewNetwork()
		for _, address := range []string{"receiver:80", "10.0.0.1:80", "10.0.0.2:80"} { // the last two are for tests that set Resolve
			network.Serve(t, address, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				q.Header.Set(servedBy, address)
				handler.ServeHTTP(w, q)
			}))
		}
		r := newRig(t, network, change)
		r.run()
		test(r)
		r.stop()
		r.wantNothingPending()
	})
}

func newRig(t testing.TB, network *memnet.Network, change func(*Config, *sinks.Env)) *rig {
	t.Helper()
	r := &rig{TB: t, stats: new(sinks.Stats), log: new(lockedBuffer), began: time.Now()}
	env := sinks.Env{
		Name:     "mimir",
		Log:      slog.New(slog.NewTextHandler(r.log, nil)),
		Web:      &httpclient.Host{Secrets: new(setting.SecretStore), UserAgent: "cton/test", Dial: network.Dial},
		Stats:    r.stats,
		Instance: "host-1",
		Drain:    10 * time.Second,
	}
	c := defaults()
	if err := c.URL.UnmarshalText([]byte("http://receiver/api/v1/write?key=k-s3cret")); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(c, &env)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := c.New(env)
	if err != nil {
		t.Fatal(err)
	}
	r.sink, r.config = s.(*sink), c
	return r
}

// run starts Run.
func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.sink.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.Errorf("Run: %v", err)
		}
	})
}

// write writes a batch of the current time.
func (r *rig) write(job string, families ...metric.Family) {
	r.Helper()
	if err := r.sink.Write(context.Background(), metric.Batch{Job: job, Time: time.Now(), Families: families}); err != nil {
		r.Fatalf("Write: %v", err)
	}
}

// tick waits for a minute, and then until everything that can be delivered is delivered.
func (r *rig) tick() {
	time.Sleep(time.Minute)
	synctest.Wait()
}

// wantDropped checks the number of samples dropped for a reason.
func (r *rig) wantDropped(reason metric.Reason, want int64) {
	r.Helper()
	if got := r.stats.Dropped()[reason]; got != want {
		r.Errorf("dropped as %s: %d, want %d", reason, got, want)
	}
}

// wantNothingPending checks that the queue is empty.
func (r *rig) wantNothingPending() {
	r.Helper()
	if p := r.stats.Pending(); p.Samples != 0 || p.Bytes != 0 || !p.Oldest.IsZero() {
		r.Errorf("still pending: %+v", p)
	}
}

// wantLogged checks how often the log contains text.
func (r *rig) wantLogged(text string, want int) {
	r.Helper()
	if got := strings.Count(r.log.String(), text); got != want {
		r.Errorf("the log has %q %d times, want %d:\n%s", text, got, want, r.log)
	}
}

// point is a sample in a received request.
type point struct {
	series    string
	time      int64
	start     int64
	value     float64
	histogram string // of a native histogram
}

func (p point) String() string {
	text := fmt.Sprintf("%s @%d", p.series, p.time)
	if p.start != 0 {
		text += fmt.Sprintf(" since %d", p.start)
	}
	if p.histogram != "" {
		return text + " " + p.histogram
	}
	if math.Float64bits(p.value) == math.Float64bits(staleNaN()) {
		return text + " stale"
	}
	return text + " " + strconv.FormatFloat(p.value, 'g', -1, 64)
}

// wantLossesLogged checks how often the log has a line about dropped samples, and how many samples these lines count together.
func (r *rig) wantLossesLogged(line string, want, samples int) {
	r.Helper()
	r.wantLogged(line, want)
	sum := 0
	for text := range strings.Lines(r.log.String()) {
		if _, after, ok := strings.Cut(text, line+`" samples=`); ok {
			number, _, _ := strings.Cut(after, " ")
			n, err := strconv.Atoi(number)
			if err != nil {
				r.Error(err)
			}
			sum += n
		}
	}
	if sum != samples {
		r.Errorf("the lines count %d samples, want %d", sum, samples)
	}
}

// request is a received request.
type request struct {
	at       time.Time
	header   http.Header
	protocol Protocol
	points   []point
	metadata map[string]string // by family in 1.0, by series in 2.0
}

// fakeReceiver is a receiver that responds in the way that a test sets. Without such a setting it accepts everything. It records the
// requests.
type fakeReceiver struct {
	mu       sync.Mutex
	requests []request
	answer   func(w http.ResponseWriter, r request)
}

func (d *fakeReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got, err := decode(r)
	if err != nil {
		panic(err)
	}
	d.mu.Lock()
	d.requests = append(d.requests, got)
	answer := d.answer
	d.mu.Unlock()
	if answer == nil {
		answer = acceptAll
	}
	answer(w, got)
}

func (d *fakeReceiver) set(answer func(w http.ResponseWriter, r request)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = answer
}

func (d *fakeReceiver) all() []request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.requests
}

// acceptAll accepts everything, in both protocols.
func acceptAll(w http.ResponseWriter, r request) {
	if r.protocol == Protocol2 {
		histograms := 0
		for _, p := range r.points {
			if p.histogram != "" {
				histograms++
			}
		}
		setWritten(w, len(r.points)-histograms, histograms)
	}
	w.WriteHeader(http.StatusNoContent)
}

func setWritten(w http.ResponseWriter, samples, histograms int) {
	w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(samples))
	w.Header().Set("X-Prometheus-Remote-Write-Histograms-Written", strconv.Itoa(histograms))
}

// accept1Only accepts 1.0 and answers 415 to 2.0.
func accept1Only(w http.ResponseWriter, r request) {
	if r.protocol == Protocol2 {
		http.Error(w, "io.prometheus.write.v2.Request protobuf message is not accepted", http.StatusUnsupportedMediaType)
		return
	}
	acceptAll(w, r)
}

// decode decodes a request with Prometheus' types.
func decode(r *http.Request) (got request, err error) {
	packed, err := io.ReadAll(r.Body)
	if err != nil {
		return got, err
	}
	body, err := snappy.Decode(nil, packed)
	if err != nil {
		return got, err
	}
	got = request{at: time.Now(), header: r.Header, metadata: map[string]string{}}
	if strings.Contains(r.Header.Get("Content-Type"), "v2.Request") {
		got.protocol = Protocol2
		return got, got.decode2(body)
	}
	got.protocol = Protocol1
	return got, got.decode1(body)
}

func (r *request) decode1(body []byte) error {
	var q prompb.WriteRequest
	if err := proto.Unmarshal(body, &q); err != nil {
		return err
	}
	for _, m := range q.Metadata {
		r.metadata[m.MetricFamilyName] = fmt.Sprint(m.Type, " ", m.Help, " ", m.Unit)
	}
	b := labels.NewScratchBuilder(0)
	for _, ts := range q.Timeseries {
		name := ts.ToLabels(&b, nil).String()
		for _, s := range ts.Samples {
			r.points = append(r.points, point{series: name, time: s.Timestamp, value: s.Value})
		}
		for _, h := range ts.Histograms {
			r.points = append(r.points, point{series: name, time: h.Timestamp, histogram: h.ToIntHistogram().String()})
		}
	}
	return nil
}

func (r *request) decode2(body []byte) error {
	var q writev2.Request
	if err := proto.Unmarshal(body, &q); err != nil {
		return err
	}
	b := labels.NewScratchBuilder(0)
	for _, ts := range q.Timeseries {
		ls, err := ts.ToLabels(&b, q.Symbols)
		if err != nil {
			return err
		}
		name := ls.String()
		m, err := ts.ToMetadata(q.Symbols)
		if err != nil {
			return err
		}
		r.metadata[name] = fmt.Sprint(strings.ToUpper(string(m.Type)), " ", m.Help, " ", m.Unit)
		for _, s := range ts.Samples {
			r.points = append(r.points, point{series: name, time: s.Timestamp, start: s.StartTimestamp, value: s.Value})
		}
		for _, h := range ts.Histograms {
			r.points = append(r.points, point{
				series: name, time: h.Timestamp, start: h.StartTimestamp, histogram: h.ToIntHistogram().String(),
			})
		}
	}
	return nil
}

// points formats all points of requests, in order.
func points(requests []request) (all []string) {
	for _, r := range requests {
		for _, p := range r.points {
			all = append(all, p.String())
		}
	}
	return all
}

// gauge returns a family with a series for each value of the label "room".
func gauge(name string, value float64, rooms ...string) metric.Family {
	return familyOf(&metric.Desc{Name: name, Help: "A gauge.", Type: metric.Gauge, LabelNames: []string{"room"}},
		metric.Series{Value: value}, rooms...)
}

// counter returns a family with a series for each room. The start timestamp of the series is "start".
func counter(name string, value float64, start time.Time, rooms ...string) metric.Family {
	return familyOf(&metric.Desc{Name: name, Help: "A counter.", Type: metric.Counter, LabelNames: []string{"room"}},
		metric.Series{Value: value, Start: start.UnixMilli()}, rooms...)
}

func familyOf(d *metric.Desc, s metric.Series, rooms ...string) metric.Family {
	f := metric.Family{Desc: d}
	for _, room := range rooms {
		s.Labels = d.LabelSet([]string{room})
		f.Series = append(f.Series, s)
	}
	return f
}
