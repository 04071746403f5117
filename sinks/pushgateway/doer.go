package pushgateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
)

// doer sends the pusher's requests, within a context even where the pusher has none for them, and makes an error of every
// answer that is not a success.
type doer struct {
	ctx  context.Context
	sink *sink
}

// Do implements push.HTTPDoer.
func (d *doer) Do(req *http.Request) (*http.Response, error) {
	req = req.WithContext(d.ctx)
	if err := mendSpaces(req, d.sink.url); err != nil {
		return nil, err
	}
	resp, err := d.sink.client.DoAnyStatus(req)
	if err != nil {
		return nil, err
	}
	defer resp.Close()
	switch code := resp.StatusCode; {
	case resp.Request.Method != req.Method:
		// A 301 or 302 turns a push into a GET (RFC 9110 section 15.4), whose success says nothing.
		to := resp.Request.URL
		return nil, &refusal{fmt.Errorf("redirected to %s://%s%s: set url to where the gateway is", to.Scheme, to.Host, to.Path), http.StatusMovedPermanently, 0}
	case code == http.StatusOK || code == http.StatusAccepted:
		// Deleted at once is as good as accepted for deletion; the push package knows the latter alone.
		return &http.Response{StatusCode: http.StatusAccepted, Body: http.NoBody}, nil
	}
	status, _ := errors.AsType[*httpclient.StatusError](resp.StatusError())
	return nil, &refusal{status, status.Code, status.RetryAfter}
}

// mendSpaces mends what client_golang adds to the gateway's address: it writes a space in a job's name or a label as a
// plus sign, which a gateway takes for one. A plus sign of their own stands there as %2B.
func mendSpaces(req *http.Request, base string) error {
	base = strings.TrimSuffix(base, "/")
	path, found := strings.CutPrefix(req.URL.String(), base)
	if !found || !strings.Contains(path, "+") {
		return nil
	}
	mended, err := url.Parse(base + strings.ReplaceAll(path, "+", "%20"))
	if err != nil {
		return fmt.Errorf("make the address of a group: %w", err)
	}
	req.URL = mended
	return nil
}
