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
	"github.com/collectington/collectington/sources/scrape/exposition"
)

// The Accept headers, which are those of Prometheus. Only the protobuf format has native histograms. The headers ask for names
// without escaping.
const (
	acceptText = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5," +
		"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
	acceptNative = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8;q=0.7," +
		acceptText
)

// fetch fetches the page of a target. The reader takes the lines that it knows; the remaining lines are put into b.body. Errors
// begin with the method and the URL.
func (s *source) fetch(ctx context.Context, t *target, reader *exposition.Reader, b *buffers) (contentType string, err error) {
	if ctx.Err() != nil {
		return "", t.wrap(context.Cause(ctx))
	}
	address, err := s.address(t)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("GET %s: not a valid URL", setting.Place(&t.url))
	}
	req.Header.Set("Accept", acceptText)
	if s.config.NativeHistograms {
		req.Header.Set("Accept", acceptNative)
	}
	if deadline, ok := ctx.Deadline(); ok {
		seconds := max(0, time.Until(deadline).Seconds())
		req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", strconv.FormatFloat(seconds, 'f', 3, 64))
	}
	resp, err := t.client.DoAnyStatus(req)
	if err != nil {
		return "", err
	}
	defer resp.Close()
	if b.body, err = s.read(resp, t, reader, b); err != nil {
		return "", err
	}
	return resp.Header.Get("Content-Type"), nil
}

// address returns the target's URL. References to secrets in the setting "params" are replaced by the secrets. References in a list of
// targets are not replaced.
func (s *source) address(t *target) (string, error) {
	if t.url.RawQuery == "" {
		return t.url.String(), nil
	}
	query, changed := t.url.Query(), false
	for name, values := range query {
		for i, value := range values {
			if i < len(s.config.Params[name]) && s.config.Params[name][i] == setting.Text(value) {
				filled, err := s.env.Web.Secrets.Text(setting.Text(value))
				if err != nil {
					return "", t.wrap(fmt.Errorf("params.%s: %w", name, err))
				}
				if filled != value {
					values[i], changed = filled, true
					continue
				}
			}
			s.env.Web.RememberNamed(name, value)
		}
	}
	if !changed {
		return t.url.String(), nil
	}
	full := t.url
	full.RawQuery = query.Encode()
	return full.String(), nil
}

func (s *source) read(resp *httpclient.Response, t *target, reader *exposition.Reader, b *buffers) ([]byte, error) {
	if resp.StatusCode != http.StatusOK {
		return b.body, resp.StatusError()
	}
	resp.Filter(func(body io.Reader) io.Reader { return reader.Stream(body, b.window) })
	if t.cache.IsKnown() {
		resp.ContentLength = -1 // unknown, since the reader removes the lines that it knows
	}
	return resp.ReadBody(b.body[:0], httpclient.Limit{Bytes: s.config.BodySizeLimit, Setting: "body_size_limit"})
}
