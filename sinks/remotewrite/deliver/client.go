package deliver

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// The headers in which a receiver of 2.0 says how much it has stored: "Required Written Response Headers" in the specification.
const (
	samplesHeader    = "X-Prometheus-Remote-Write-Samples-Written"
	histogramsHeader = "X-Prometheus-Remote-Write-Histograms-Written"
)

// maxBody is how much of a response's body is read, in bytes.
const maxBody = 8 << 10

// maxText is the maximum length, in bytes, of the text of a response in a message. A longer text is cut. Mimir's text contains the labels
// of a series.
const maxText = 600

// client sends HTTP requests to the receiver.
type client struct {
	http    *httpclient.Client
	url     string
	place   string // the URL without secrets, for messages
	headers map[string]setting.Text
	host    *httpclient.Host
	timeout time.Duration
}

// send sends a compressed request and returns the response, whatever its status code. An error means that there was no response.
func (c *client) send(ctx context.Context, p wire.Protocol, packed []byte) (response, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no answer within %s (timeout)", setting.Duration(c.timeout)))
	defer cancel()
	request, err := c.request(ctx, p, packed)
	if err != nil {
		return response{}, fmt.Errorf("POST %s: %w", c.place, err)
	}
	reply, err := c.http.DoAnyStatus(request)
	if err != nil {
		return response{}, err
	}
	defer reply.Close()
	body := reply.Excerpt(maxBody)
	r := response{code: reply.StatusCode, text: reply.WebPage(body), movedTo: movedTo(reply, request.URL.Path)}
	if r.isPage = r.text != ""; !r.isPage {
		r.text = text.Cut(text.OneLine(body), maxText)
	}
	r.retryAfter, _ = reply.RetryAfter()
	if p == wire.V2 {
		r.written, r.hasWritten = readWritten(reply.Header)
	}
	return r, nil
}

func (c *client) request(ctx context.Context, p wire.Protocol, packed []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	for name, text := range c.headers {
		value, err := c.host.Secrets.Text(text)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", name, err)
		}
		if !httpclient.IsHeaderValue(value) {
			return nil, fmt.Errorf("headers.%s: the value of %s has a line break or control character, which a header cannot have: remove it there", name, text)
		}
		if httpclient.NamesSecret(name) {
			c.host.Secrets.Remember(value)
		}
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Encoding", "snappy")
	if p == wire.V2 {
		request.Header.Set("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
		request.Header.Set(VersionHeader, "2.0.0")
	} else {
		request.Header.Set("Content-Type", "application/x-protobuf")
		request.Header.Set(VersionHeader, "0.1.0")
	}
	return request, nil
}

// response is the answer of the receiver.
type response struct {
	code       int
	text       string // the start of the body in one line, or a description of the web page; without secrets
	isPage     bool   // the body is a web page
	movedTo    string // the path that has answered after a redirect; "" = the path of the request
	retryAfter time.Duration
	written    counts // what the receiver says it has stored
	hasWritten bool   // the response has headers for written
}

// readWritten reads the headers that say what was stored. If the response has only one of the two headers, the other number is zero.
func readWritten(h http.Header) (written counts, ok bool) {
	read := func(name string, n *int) {
		if v, err := strconv.Atoi(h.Get(name)); err == nil && v >= 0 {
			*n, ok = v, true
		}
	}
	read(samplesHeader, &written.samples)
	read(histogramsHeader, &written.histograms)
	return written, ok
}

// status returns the status code with its text, and the text of the response.
func (r *response) status() string {
	text := strings.TrimSpace(fmt.Sprintf("%d %s", r.code, http.StatusText(r.code)))
	if r.text != "" {
		text += ": " + r.text
	}
	return text
}

// error returns the response as an error.
func (r *response) error(place string) error { return fmt.Errorf("POST %s: %s", place, r.status()) }

// errorWithHint returns the response as an error. If a hint is known, the error also says what to do.
func (r *response) errorWithHint(place string) error {
	do := hint(r.code, r.text)
	switch {
	case do != "":
	case r.isForeign():
		do = r.foreignHint()
	case r.code/100 == 2:
		do = fmt.Sprintf("without the %s header: the receiver supports 1.0 only; set protocol to auto or 1.0", samplesHeader)
	default:
		return r.error(place)
	}
	return fmt.Errorf("%w (%s)", r.error(place), do)
}

// isTransient reports whether the request can succeed later. The specification names 429 and 5xx. RFC 9110 (15.5.9) lets a
// client repeat a request after 408.
func (r *response) isTransient() bool { return r.code == 408 || r.code == 429 || r.code >= 500 }

// isAboutAccess reports whether the response is about the URL or the credentials, not about the samples. A proxy in front of the receiver
// may have sent such a response.
func (r *response) isAboutAccess() bool {
	return r.code/100 == 3 || r.code == 401 || r.code == 403 || r.code == 404 || r.code == 405 || r.code == 407
}

// series returns the first series in the text, such as {a="b"}, without a metric name before the brace. It returns "" if the text contains
// no series.
func (r *response) series() string {
	start := strings.IndexByte(r.text, '{')
	if start < 0 {
		return ""
	}
	quoted := false
	for i := start; i < len(r.text); i++ {
		switch r.text[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case '}':
			if !quoted {
				return r.text[start : i+1]
			}
		}
	}
	return r.text[start:]
}

// gist returns the status code, and the text before its first series, without digits. Responses that differ only in series and numbers have
// the same gist.
func (r *response) gist() string {
	text := r.text
	if series := r.series(); series != "" {
		text = text[:strings.Index(text, series)]
	}
	return fmt.Sprint(r.code, strings.Map(func(c rune) rune {
		if '0' <= c && c <= '9' {
			return -1
		}
		return c
	}, text))
}
