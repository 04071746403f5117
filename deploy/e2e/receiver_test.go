//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// receiver is a receiver of remote-write as a separate program. It can be started again.
type receiver struct {
	command []string
	root    string // of its URLs
	query   v1.API
	stored  func(ctx context.Context) (model.Matrix, error) // returns the stored samples of the exporter
	forgets time.Duration                                   // when the receiver is killed, it loses the samples that are younger than this
}

func (r *receiver) start(t *testing.T) *process {
	t.Helper()
	return start(t, r.command[0], r.command[1:]...)
}

// newPrometheus returns a Prometheus with an empty data directory. If the Prometheus is in a network namespace, "transport" connects to it,
// and "enter" is the beginning of the command that starts it in the namespace.
func newPrometheus(t *testing.T, listen, root string, transport http.RoundTripper, enter ...string) *receiver {
	t.Helper()
	dir := t.TempDir()
	r := &receiver{
		command: append(enter, env(t, "PROMETHEUS"), "--config.file="+write(t, dir, "prometheus.yml", ""),
			"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+listen, "--web.enable-remote-write-receiver"),
		root: root,
	}
	r.query = queryAPI(t, root, transport)
	r.stored = func(ctx context.Context) (model.Matrix, error) {
		v, _, _, err := r.query.Query(ctx, "e2e_scrape[1h]", time.Now())
		if err != nil {
			return nil, err
		}
		return v.(model.Matrix), nil
	}
	return r
}

// newVictoriaMetrics returns a VictoriaMetrics with an empty data directory.
func newVictoriaMetrics(t *testing.T, address string) *receiver {
	t.Helper()
	r := &receiver{
		command: []string{env(t, "VICTORIAMETRICS"), "-storageDataPath=" + t.TempDir(), "-httpListenAddr=" + address},
		root:    "http://" + address,
		forgets: 10 * time.Second, // it has no write-ahead log
	}
	r.query = queryAPI(t, r.root, nil)
	r.stored = r.export
	return r
}

func queryAPI(t *testing.T, root string, transport http.RoundTripper) v1.API {
	t.Helper()
	client, err := api.NewClient(api.Config{Address: root, RoundTripper: transport})
	if err != nil {
		t.Fatal(err)
	}
	return v1.NewAPI(client)
}

// export returns the raw samples in VictoriaMetrics.
func (r *receiver) export(ctx context.Context) (model.Matrix, error) {
	ask := r.root + "/api/v1/export?" + url.Values{"match[]": {"e2e_scrape"}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, ask, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s", response.Status)
	}
	var all model.Matrix
	for lines := json.NewDecoder(response.Body); ; {
		var line struct {
			Metric     model.Metric
			Values     []float64
			Timestamps []int64 // in milliseconds
		}
		switch err := lines.Decode(&line); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		s := &model.SampleStream{Metric: line.Metric}
		for i, v := range line.Values {
			s.Values = append(s.Values, model.SamplePair{Value: model.SampleValue(v), Timestamp: model.Time(line.Timestamps[i])})
		}
		all = append(all, s)
	}
}

// answers waits until the receiver answers queries.
func (r *receiver) answers(ctx context.Context, t *testing.T) {
	t.Helper()
	poll(ctx, t, "wait for the receiver", func() error { _, err := r.stored(ctx); return err })
}

// reaches waits until all series in the receiver have the sample of the given scrape.
func (r *receiver) reaches(ctx context.Context, t *testing.T, scrape int) {
	t.Helper()
	poll(ctx, t, fmt.Sprintf("wait for scrape %d", scrape), func() error {
		stored, err := r.stored(ctx)
		if err == nil && newest(stored) < scrape {
			err = fmt.Errorf("the receiver has scrape %d", newest(stored))
		}
		return err
	})
}

// droppedNothing checks that the metric of dropped samples is 0 for all agents.
func (r *receiver) droppedNothing(ctx context.Context, t *testing.T) {
	t.Helper()
	const query = "sum(max_over_time(cton_sink_dropped_samples_total[1h]))"
	v, _, _, err := r.query.Query(ctx, query, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if sum, ok := v.(model.Vector); !ok || len(sum) != 1 || sum[0].Value != 0 {
		t.Errorf("%s: %v, want 0", query, v)
	}
}
