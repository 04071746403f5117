package sinktest

import (
	"context"
	"reflect"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/collectington/collectington/agent/metric"
)

// at returns the time of the current batch.
func (s *suite) at() time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(s.ticks) * 15 * time.Second)
}

// write writes a batch, and fails the test if that returns an error.
func (s *suite) write(job string, families ...metric.Family) {
	s.Helper()
	s.ticks++
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := s.Sink.Write(ctx, metric.Batch{Job: job, Time: s.at(), Families: families}); err != nil {
		s.Fatalf("Write: %v", err)
	}
}

// holds checks that the receiver has these values.
func (s *suite) holds(want map[string]float64) Holding {
	s.Helper()
	got := s.Holds(s.T, s.at())
	if diff := cmp.Diff(want, got.Values); diff != "" {
		s.Fatalf("the receiver holds other series (-want +got):\n%s", diff)
	}
	return got
}

func (s *suite) delivers() {
	s.write("first", everyType()...)
	got := s.holds(map[string]float64{
		`st_temp{room="a"}`:                21.5,
		`st_temp{room="b \"c\" \\ \n d"}`:  -0.25,
		`st_temp`:                          9007199254740991, // 2^53 - 1
		`st_calls_total{code="200"}`:       1,
		`st_took_bucket{le="0.1"}`:         1,
		`st_took_bucket{le="2.5"}`:         3,
		`st_took_bucket{le="+Inf"}`:        6,
		`st_took_sum`:                      12.5,
		`st_took_count`:                    6,
		`st_size{quantile="0.5",room="a"}`: 7,
		`st_size_sum{room="a"}`:            70,
		`st_size_count{room="a"}`:          10,
	})
	types := map[string]string{"st_temp": "gauge", "st_calls_total": "counter", "st_took": "histogram", "st_size": "summary"}
	if diff := cmp.Diff(types, got.Types); got.Types != nil && diff != "" {
		s.Errorf("the receiver has other types (-want +got):\n%s", diff)
	}
}

func (s *suite) replaces() {
	s.write("first", gauge("st_load", 1, "a", "b"), gauge("st_gone", 5, "a"))
	s.write("first", gauge("st_load", 2, "b", "c"))
	s.holds(map[string]float64{`st_load{room="b"}`: 2, `st_load{room="c"}`: 2})
	s.write("first", gauge("st_load", 3, "a"))
	s.holds(map[string]float64{`st_load{room="a"}`: 3})
}

func (s *suite) ends() {
	s.write("first", gauge("st_load", 1, "a"))
	s.write("other", gauge("st_rest", 2, "a"))
	s.write("first")
	s.holds(map[string]float64{`st_rest{room="a"}`: 2})
	s.write("first", gauge("st_load", 4, "a"))
	s.holds(map[string]float64{`st_load{room="a"}`: 4, `st_rest{room="a"}`: 2})
}

func (s *suite) separates() {
	s.write("first", gauge("st_load", 1, "a"))
	s.write("other", gauge("st_rest", 2, "a", "b"))
	s.write("first", gauge("st_load", 3, "c"))
	s.holds(map[string]float64{`st_load{room="c"}`: 3, `st_rest{room="a"}`: 2, `st_rest{room="b"}`: 2})
}

// sharesLabels writes two families that use the same label sets, as families from the ledger do.
func (s *suite) sharesLabels() {
	load, rest := gauge("st_load", 1, "a", "b"), gauge("st_rest", 2, "a", "b")
	family := func(of metric.Family, values ...float64) metric.Family {
		f := metric.Family{Desc: of.Desc}
		for i, v := range values {
			if v != 0 {
				f.Series = append(f.Series, metric.Series{Labels: load.Series[i].Labels, Value: v})
			}
		}
		return f
	}
	s.write("first", family(load, 1, 2), family(rest, 3, 4))
	s.holds(map[string]float64{`st_load{room="a"}`: 1, `st_load{room="b"}`: 2, `st_rest{room="a"}`: 3, `st_rest{room="b"}`: 4})
	s.write("first", family(rest, 5, 0), family(load, 0, 6))
	s.holds(map[string]float64{`st_load{room="b"}`: 6, `st_rest{room="a"}`: 5})
	s.write("first", family(load, 7, 8))
	s.holds(map[string]float64{`st_load{room="a"}`: 7, `st_load{room="b"}`: 8})
}

func (s *suite) leaves() {
	batch := everyType()
	s.write("first", batch...)
	s.write("first", gauge("st_load", 1, "a"))
	s.Holds(s.T, s.at())
	if !reflect.DeepEqual(batch, everyType()) {
		s.Error("Write changed the batch")
	}
}

func (s *suite) cancels() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		// An error and success are both allowed.
		_ = s.Sink.Write(ctx, metric.Batch{Job: "first", Time: s.at(), Families: everyType()})
	}()
	select {
	case <-done:
	case <-time.After(timeout):
		s.Fatalf("Write has not returned %s after the end of its context", timeout)
	}
}

func (s *suite) stops() {
	s.write("first", everyType()...)
	s.write("other", gauge("st_rest", 2, "a"))
	s.stop() // sinktest.Run then checks for goroutines that are left
}

func (s *suite) keepsSecrets() {
	if s.Refuse == nil || s.Secret == "" {
		s.Skip("the sink has no secret, or no receiver")
	}
	s.Refuse()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := s.Sink.Write(ctx, metric.Batch{Job: "first", Time: s.at(), Families: everyType()})
	s.stop()
	output := s.Logged()
	if err != nil {
		output += "\n" + err.Error()
	}
	if strings.TrimSpace(output) == "" {
		s.Error("a refused delivery is neither returned as an error nor logged")
	}
	if strings.Contains(output, s.Secret) {
		s.Errorf("the secret is revealed:\n%s", output)
	}
}
