package scrape

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// What Prometheus sends, without native histograms and with them: protobuf alone has those. Names are wanted as they are in
// all formats that can tell.
const (
	acceptText = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5," +
		"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
	acceptNative = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8;q=0.7," +
		acceptText
)

// page is what a target has answered.
type page struct {
	reader *reader
	body   []byte // without the lines at its beginning that the reader has taken
	kind   string // its Content-Type
}

// fetch gets a target's page into memory, as far as it does not repeat the last one. Its errors begin with the method and
// the place.
func (s *source) fetch(ctx context.Context, t *target, m *memory) (page, error) {
	if t.url.RawQuery != "" {
		for name, values := range t.url.Query() {
			for _, value := range values {
				s.env.Web.RememberNamed(name, value)
			}
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url.String(), http.NoBody)
	if err != nil {
		return page{}, fmt.Errorf("GET %s: not an address", setting.Place(&t.url))
	}
	req.Header.Set("Accept", acceptText)
	if s.set.NativeHistograms {
		req.Header.Set("Accept", acceptNative)
	}
	if deadline, ok := ctx.Deadline(); ok {
		seconds := max(0, time.Until(deadline).Seconds())
		req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", strconv.FormatFloat(seconds, 'f', 3, 64))
	}
	resp, err := s.client.DoAnyStatus(req)
	if err != nil {
		return page{}, err
	}
	defer resp.Close()
	p := page{reader: s.reader(t), kind: resp.Header.Get("Content-Type")}
	if m.body, err = s.read(resp, p.reader, m); err != nil {
		return p, err
	}
	p.body = m.body
	return p, nil
}

func (s *source) read(resp *httpclient.Response, r *reader, m *memory) ([]byte, error) {
	if resp.StatusCode != http.StatusOK {
		return m.body, resp.StatusError()
	}
	resp.Filter(func(body io.Reader) io.Reader { return &repeats{Reader: body, reader: r, window: m.window[:0]} })
	if len(r.t.before) > 0 {
		resp.ContentLength = -1 // the rest is less
	}
	return resp.ReadBody(m.body[:0], httpclient.Limit{Bytes: s.set.BodySizeLimit, Setting: "body_size_limit"})
}

// wrong says whose page is wrong.
func (t *target) wrong(err error) error { return fmt.Errorf("GET %s: %w", setting.Place(&t.url), err) }
