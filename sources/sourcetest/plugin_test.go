package sourcetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/sourcetest"
)

// TestPlugIn runs the suite on a source with its own HTTP requests, as the author of a plug-in would.
func TestPlugIn(t *testing.T) {
	sourcetest.Run(t, sourcetest.Subject{
		Config:    func(*testing.T) sources.Config[sources.Source] { return &queueConfig{Key: "env:QUEUE_KEY"} },
		Documents: []string{`{"waiting": 3, "oldest": 12}`, `{"waiting": 0, "oldest": 0.5}`},
		Partial:   `{"waiting": "many", "oldest": 12}`,
		Failing:   "queue_waiting",
	})
}

// queueConfig holds the settings of a source that measures a queue.
type queueConfig struct{ Key setting.Secret }

func (*queueConfig) Validate() error { return nil }

func (*queueConfig) Declares() []*metric.Desc {
	return []*metric.Desc{
		{Name: "queue_oldest_seconds", Type: metric.Gauge},
		{Name: "queue_waiting", Type: metric.Gauge},
	}
}

func (c *queueConfig) New(env sources.Env) (sources.Source, error) {
	client, err := env.Web.Client(&httpclient.Settings{})
	if err != nil {
		return nil, err
	}
	q := &queue{key: c.Key, web: env.Web, client: client}
	for _, d := range c.Declares() {
		q.readings = append(q.readings, metric.Measured{Desc: d})
	}
	return q, nil
}

type queue struct {
	key      setting.Secret
	web      *httpclient.Host
	client   *httpclient.Client
	readings metric.Readings
}

// maxAnswer is the maximum length of the answer, in bytes.
const maxAnswer = 1 << 20

// Collect sends one request.
func (q *queue) Collect(ctx context.Context, _ sources.Tick) (metric.Readings, error) {
	key, err := q.web.Secrets.Secret(q.key)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://queue.example/v1", http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Api-Key", key)
	resp, err := q.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Close()
	body, err := resp.ReadBody(nil, httpclient.Limit{Bytes: maxAnswer})
	if err != nil {
		return nil, err
	}
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, errors.New("read the queue: want a JSON object with waiting and oldest")
	}
	for i, field := range []string{"oldest", "waiting"} {
		m := &q.readings[i]
		m.Rows, m.Err = m.Rows[:0], nil
		if value, ok := answer[field].(float64); ok {
			m.Rows = append(m.Rows, metric.Reading{Value: value})
		} else {
			m.Err = fmt.Errorf("%s is not a number", field)
		}
	}
	return q.readings, nil
}
