package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	configutil "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	prometheusconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// freeAddress returns an address that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// receiving runs an agent until the test ends. The agent receives samples by remote-write at one address, and passes them on to another.
func receiving(t *testing.T, address, to, dir string) (logged func() string) {
	t.Helper()
	text := fmt.Sprintf(`
external_labels: {site: oslo}
sinks:
  on: {remote_write: {url: "%s/api/v1/write", spool: {dir: %s}}}
jobs:
  samples:
    receive: {listen: "%s", remote_write: true}
`, to, dir, address)
	file := filepath.Join(t.TempDir(), "cton.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	logs := &lockedText{}
	app := command.App{Version: "test", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: io.Discard, Err: logs}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int)
	go func() { ended <- app.Main(ctx, []string{"run", "-c", file}) }()
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != 0 {
			t.Errorf("exit code %d:\n%s", code, logs)
		}
	})
	eventually(t, func() error {
		if !strings.Contains(logs.String(), "receiving pushes") {
			return fmt.Errorf("it does not listen:\n%s", logs)
		}
		return nil
	})
	return logs.String
}

// eventually waits until a check of real processes passes.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	var err error
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// sender is a Prometheus that sends its samples with its own remote-write queue.
type sender struct {
	db *tsdb.DB
}

func newSender(t *testing.T, to string, protocol remoteapi.WriteMessageType) *sender {
	t.Helper()
	dir := t.TempDir()
	options := tsdb.DefaultOptions()
	options.EnableExemplarStorage, options.MaxExemplars = true, 1000
	quiet := slog.New(slog.DiscardHandler)
	db, err := tsdb.Open(dir, quiet, nil, options, nil)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(to + "/api/v1/write")
	if err != nil {
		t.Fatal(err)
	}
	store := remote.NewStorage(quiet, nil, db.StartTime, dir, time.Second, noManager{}, false)
	c := prometheusconfig.DefaultRemoteWriteConfig
	c.URL, c.ProtobufMessage, c.SendExemplars, c.SendNativeHistograms = &configutil.URL{URL: target}, protocol, true, true
	c.QueueConfig.BatchSendDeadline, c.QueueConfig.MaxSamplesPerSend = model.Duration(50*time.Millisecond), 100
	c.MetadataConfig.Send = false
	if err := store.ApplyConfig(&prometheusconfig.Config{RemoteWriteConfigs: []*prometheusconfig.RemoteWriteConfig{&c}}); err != nil {
		t.Fatal(err)
	}
	db.SetWriteNotified(store)
	t.Cleanup(func() {
		if err := errors.Join(store.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return &sender{db}
}

// noManager stands for the scrape manager, from which the queue would get metadata. The tests have no scrape manager.
type noManager struct{}

func (noManager) Get() (*scrape.Manager, error) { return nil, errors.New("there is none") }

// fill stores samples of a few kinds, in time order.
func (s *sender) fill(t *testing.T, series, times int) {
	t.Helper()
	begin := time.Now().Add(5 * time.Second).UnixMilli() // the queue sends only samples that are later than its start
	for at := range times {
		a := s.db.Appender(t.Context())
		ms := begin + int64(at)
		for i := range series {
			v := float64(at*series + i)
			if at == times-1 && i%3 == 0 {
				v = math.Float64frombits(value.StaleNaN)
			}
			if _, err := a.Append(0, labels.FromStrings("__name__", "moved_total", "instance", fmt.Sprint("host-", i), "job", "batch"), ms, v); err != nil {
				t.Fatal(err)
			}
		}
		h := &histogram.Histogram{Schema: 1, ZeroThreshold: 0.001, ZeroCount: uint64(at), Count: uint64(3*at + 1), Sum: float64(at), PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []int64{int64(at), 1}}
		if _, err := a.AppendHistogram(0, labels.FromStrings("__name__", "took", "job", "batch"), ms, h, nil); err != nil {
			t.Fatal(err)
		}
		if err := a.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

// points returns the stored samples by series, with the exact bits of their values. The label named site is left out.
func points(t *testing.T, p *peers.Prometheus, selector string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for name, list := range p.Points(t, selector) {
		for _, x := range list {
			all[name] = append(all[name], fmt.Sprintf("%d %v %t", x.Time, x.Value, x.Stale))
		}
	}
	return all
}

// TestForward sends samples from one Prometheus, with the remote-write queue of Prometheus itself, through an agent to another Prometheus.
// The second one must have the same samples as the first.
func TestForward(t *testing.T) {
	for _, protocol := range []remoteapi.WriteMessageType{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType} {
		t.Run(string(protocol), func(t *testing.T) {
			target := peers.NewPrometheus(t)
			server := httptest.NewServer(target)
			defer server.Close()
			address := freeAddress(t)
			receiving(t, address, server.URL, filepath.Join(t.TempDir(), "spool"))
			s := newSender(t, "http://"+address, protocol)
			const series, times = 50, 40
			s.fill(t, series, times)
			want := map[string][]string{}
			q, err := s.db.Querier(math.MinInt64, math.MaxInt64)
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			set := q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", "moved_total"))
			for set.Next() {
				name := labels.NewBuilder(set.At().Labels()).Set("site", "oslo").Labels().String()
				for it := set.At().Iterator(nil); it.Next() == chunkenc.ValFloat; {
					ms, v := it.At()
					want[name] = append(want[name], fmt.Sprintf("%d %v %t", ms, v, value.IsStaleNaN(v)))
				}
			}
			if len(want) != series {
				t.Fatalf("the sender has %d series", len(want))
			}
			eventually(t, func() error {
				if diff := cmp.Diff(want, points(t, target, "moved_total")); diff != "" {
					return fmt.Errorf("sent (-) and stored (+):\n%.4000s", diff)
				}
				last := target.Query(t, time.Now().Add(10*time.Second), "histogram_count(took)")
				if n := last[`{job="batch", site="oslo"}`]; n != float64(3*(times-1)+1) {
					return fmt.Errorf("the histogram is %v", last)
				}
				return nil
			})
		})
	}
}
