package discovery

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// HTTPSD holds the settings of a URL that lists targets, as in Prometheus' http_sd_config.
type HTTPSD struct {
	URL             setting.URL      `yaml:"url"`
	RefreshInterval setting.Duration `yaml:"refresh_interval"`

	httpclient.Settings `yaml:",inline"`
}

// IsSet reports whether there is a URL.
func (h *HTTPSD) IsSet() bool { return !h.URL.IsZero() }

// Validate checks the settings.
func (h *HTTPSD) Validate() error {
	var errs []error
	if !h.IsSet() && h.Settings != (httpclient.Settings{}) {
		errs = append(errs, setting.Errorf("url", "is required: the address of a list of targets"))
	}
	if h.RefreshInterval <= 0 {
		errs = append(errs, setting.Errorf("refresh_interval", "want more than 0, such as 60s"))
	}
	return errors.Join(append(errs, h.Settings.Validate())...)
}

// maxDiscovery is the maximum time for fetching a list of targets, which is done before the targets are asked. At most a third of the run's
// time is used.
const maxDiscovery = 10 * time.Second

// httpSD fetches lists of targets from a server. While the server fails, the targets of the last response are kept.
type httpSD struct {
	config *HTTPSD
	client *httpclient.Client
	check  func(target string) error // returns why a target is not valid, or nil
	at     time.Time                 // time of the last answer
	groups []Group
	reads  int // counts answers
}

// refresh fetches the targets, if the last response is older than refresh_interval. The argument "interval" is the time from one run to the
// next.
func (h *httpSD) refresh(ctx context.Context, interval time.Duration) error {
	// The request is sent in the run that is closest to the time when it is due.
	if !h.at.IsZero() && time.Since(h.at)+interval/2 < time.Duration(h.config.RefreshInterval) {
		return nil
	}
	limit := maxDiscovery
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/3)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s: the list of targets has a third of the job's timeout, and at most %s: raise timeout if it is below 30s, or make the server faster",
		limit.Round(time.Millisecond), maxDiscovery))
	defer cancel()
	groups, err := h.fetch(ctx)
	if err != nil {
		return fmt.Errorf("read targets from http_sd: %w", err)
	}
	h.groups, h.at = groups, time.Now()
	h.reads++
	return nil
}

func (h *httpSD) fetch(ctx context.Context) ([]Group, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.config.URL.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("GET %s: not a valid URL", h.config.URL.Place())
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("X-Prometheus-Refresh-Interval-Seconds", strconv.FormatFloat(time.Duration(h.config.RefreshInterval).Seconds(), 'f', -1, 64))
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Close()
	if format, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || format != "application/json" {
		return nil, resp.Wrap(fmt.Errorf("unsupported Content-Type %.60q: want application/json; is it a login or error page?", resp.Header.Get("Content-Type")))
	}
	body, err := resp.ReadBody(nil, httpclient.Limit{Bytes: MaxBytes})
	if err != nil {
		return nil, err
	}
	groups, err := parseJSON(body)
	if err == nil {
		err = checkGroups(groups, h.check)
	}
	if err != nil {
		return nil, resp.Wrap(err)
	}
	for i := range groups {
		groups[i].IsRemote = true
		groups[i].Meta = labels.Label{Name: model.MetaLabelPrefix + "url", Value: h.config.URL.Place()}
	}
	return groups, nil
}
