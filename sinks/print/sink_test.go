package print

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/sinktest"
)

func open(t *testing.T, c *Config, out io.Writer) (sinks.Sink, sinks.Env) {
	t.Helper()
	env, _ := sinktest.Env(t)
	env.Out = out
	s, err := c.New(env)
	if err != nil {
		t.Fatal(err)
	}
	return s, env
}

// TestSuite runs the suite with the newest output of each job as the state of the receiver.
func TestSuite(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Peer {
		var out strings.Builder
		s, _ := open(t, &Config{}, &out)
		return sinktest.Peer{Sink: s, Holds: func(t *testing.T, _ time.Time) sinktest.Holding {
			last := map[string]string{}
			for block := range strings.SplitSeq("\n"+out.String(), "\n# job ") {
				job, page, _ := strings.Cut(block, " ")
				_, last[job], _ = strings.Cut(page, "\n")
			}
			var all strings.Builder
			for _, page := range last {
				all.WriteString(strings.TrimSuffix(page, "\n") + "\n")
			}
			return sinktest.FromText(t, all.String())
		}}
	})
}

func batch() metric.Batch {
	d := &metric.Desc{Name: "open", Help: "Open incidents.", Type: metric.Gauge, LabelNames: []string{"team"}}
	return metric.Batch{
		Job:  "oncall",
		Time: time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("", 3600)),
		Families: []metric.Family{{Desc: d, Series: []metric.Series{
			{Labels: d.LabelSet([]string{"a"}), Value: 3},
			{Labels: d.LabelSet([]string{"b"}), Value: 0.5, Time: 1772366400123},
		}}},
	}
}

func TestWrite(t *testing.T) {
	for _, c := range []struct {
		timestamps bool
		want       string
	}{
		{false, `# job oncall at 2026-03-01T12:00:00Z, 2 series
# HELP open Open incidents.
# TYPE open gauge
open{team="a"} 3
open{team="b"} 0.5 1772366400123
`},
		{true, `# job oncall at 2026-03-01T12:00:00Z, 2 series
# HELP open Open incidents.
# TYPE open gauge
open{team="a"} 3 1772366400000
open{team="b"} 0.5 1772366400123
`},
	} {
		var out strings.Builder
		s, env := open(t, &Config{Timestamps: c.timestamps}, &out)
		if err := s.Write(t.Context(), batch()); err != nil {
			t.Fatal(err)
		}
		if out.String() != c.want {
			t.Errorf("timestamps: %t prints\n%s\nwant\n%s", c.timestamps, out.String(), c.want)
		}
		if got := env.Stats.Sent.Load(); got != 2 {
			t.Errorf("%d samples are counted as sent, want 2", got)
		}
	}
}

// TestWriteEnded checks that a batch without series prints its comment.
func TestWriteEnded(t *testing.T) {
	var out strings.Builder
	s, _ := open(t, &Config{}, &out)
	if err := s.Write(t.Context(), metric.Batch{Job: "gone", Time: time.Unix(0, 0)}); err != nil {
		t.Fatal(err)
	}
	if want := "# job gone at 1970-01-01T00:00:00Z, 0 series\n"; out.String() != want {
		t.Errorf("an ended job prints %q, want %q", out.String(), want)
	}
}

// counting counts writes, which return err.
type counting struct {
	writes int
	err    error
}

func (c *counting) Write(p []byte) (int, error) { c.writes++; return len(p), c.err }

// TestWriteIsWhole checks that a batch is one write.
func TestWriteIsWhole(t *testing.T) {
	out := &counting{}
	s, _ := open(t, &Config{}, out)
	if err := s.Write(t.Context(), batch()); err != nil {
		t.Fatal(err)
	}
	if out.writes != 1 {
		t.Errorf("a batch is written by %d writes, want 1", out.writes)
	}
}

func TestWriteFails(t *testing.T) {
	broken := errors.New("broken pipe")
	s, env := open(t, &Config{}, &counting{err: broken})
	err := s.Write(t.Context(), batch())
	if !errors.Is(err, broken) || sinks.IsPermanent(err) || err.Error() != "print job oncall: broken pipe" {
		t.Errorf("a failed write gives %v", err)
	}
	if env.Stats.Sent.Load() != 0 {
		t.Error("samples are counted as sent though the write failed")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("stopped"))
	if err := s.Write(ctx, batch()); err == nil || err.Error() != "print job oncall: stopped" {
		t.Errorf("a cancelled write gives %v", err)
	}
	env.Out = nil
	if _, err := (&Config{}).New(env); err == nil {
		t.Error("a sink without an output is made")
	}
}
