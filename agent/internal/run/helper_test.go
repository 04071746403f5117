package run

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

// scripted is a source that calls the function "do" with the number of each tick, from 0. A successful tick measures one increment of 1.
type scripted struct {
	do func(ctx context.Context, n int) error

	mu        sync.Mutex
	desc      *metric.Desc
	ticks     int
	succeeded int
	times     []time.Time
}

// then replaces what the source does.
func (s *scripted) then(do func(ctx context.Context, n int) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.do = do
}

// ran returns the number of ticks so far.
func (s *scripted) ran() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ticks
}

// lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func newScripted(do func(ctx context.Context, n int) error) *scripted {
	return &scripted{do: do, desc: &metric.Desc{Name: "done_total", Type: metric.Counter, From: metric.Increment}}
}

func (s *scripted) Collect(ctx context.Context, tick sources.Tick) (metric.Readings, error) {
	s.mu.Lock()
	n := s.ticks
	s.ticks++
	s.times = append(s.times, tick.Time)
	do := s.do
	s.mu.Unlock()
	if do != nil {
		if err := do(ctx, n); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.succeeded++
	return metric.Readings{{Desc: s.desc, Rows: []metric.Reading{{Value: 1}}}}, nil
}

// shelf is a sink that keeps all batches and the last value of each job.
type shelf struct {
	fail  func(n int) error        // nil = never
	judge func(metric.Batch) error // likewise

	mu      sync.Mutex
	writes  int
	batches []metric.Batch
	values  map[string]float64
	drained bool
}

func (s *shelf) Write(_ context.Context, b metric.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.fail != nil {
		if err := s.fail(s.writes - 1); err != nil {
			return err
		}
	}
	if s.judge != nil {
		if err := s.judge(b); err != nil {
			return err
		}
	}
	if b.Job == Self {
		return nil
	}
	s.batches = append(s.batches, b)
	if s.values == nil {
		s.values = map[string]float64{}
	}
	delete(s.values, b.Job)
	for _, f := range b.Families {
		for _, series := range f.Series {
			s.values[b.Job] = series.Value
		}
	}
	return nil
}

func (s *shelf) Run(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drained = true
	return nil
}

// count returns the number of batches that were taken.
func (s *shelf) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.batches)
}

func (s *shelf) shows() map[string]float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.values)
}

func planJob(t testing.TB, name, spec string, source sources.Source) Job {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	when, err := schedule.Parse(spec, zone)
	if err != nil {
		t.Fatal(err)
	}
	settings := config.JobSettings{Timeout: setting.Duration(30 * time.Second), MaxSeries: 10}
	return Job{
		Job:    config.Job{JobSettings: settings, Name: name, Key: name, Schedule: when},
		Source: source, Requests: &Requests{}, Log: slog.New(slog.DiscardHandler),
	}
}

func planSink(name string, s sinks.Sink) Sink {
	return Sink{
		Name: name, Key: name, Sink: s, Stats: &sinks.Stats{}, Requests: &Requests{},
		Log: slog.New(slog.DiscardHandler),
	}
}

func newAgent() *Agent {
	return New(Options{
		Log:  slog.New(slog.DiscardHandler),
		Self: func(State) metric.Readings { return nil },
	})
}

// start runs a plan until the returned function "stop" is called. When everything has stopped, "stop" returns the agent's error.
func start(t *testing.T, a *Agent, plan Plan, reload chan Plan) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, plan, reload) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// expired returns a context that has ended.
func expired(t *testing.T) context.Context {
	ctx, end := context.WithCancel(t.Context())
	end()
	return ctx
}
