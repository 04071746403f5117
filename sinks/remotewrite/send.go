package remotewrite

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sinks"
)

// The headers of the protocols; see "Protocol" in both specifications.
const (
	versionHeader    = "X-Prometheus-Remote-Write-Version"
	samplesHeader    = "X-Prometheus-Remote-Write-Samples-Written"
	histogramsHeader = "X-Prometheus-Remote-Write-Histograms-Written"
)

// maxReply bounds what is read of a reply, in bytes.
const maxReply = 8 << 10

// post sends request bodies to the receiver and reads its answers.
type post struct {
	client  *http.Client
	url     string
	place   string // the url without its query, for messages
	headers map[string]setting.Text
	host    *httpclient.Host
	timeout time.Duration
}

func newPost(c *Config, env sinks.Env, client *http.Client) *post {
	return &post{
		client:  client,
		url:     c.URL.String(),
		place:   c.URL.Place(),
		headers: c.Headers,
		host:    env.Web,
		timeout: time.Duration(c.Timeout),
	}
}

// answer is what the receiver said.
type answer struct {
	code  int
	text  string        // the beginning of the reply as one line, secrets blanked
	pause time.Duration // Retry-After
	wrote written
	told  bool // the reply says what was written
}

// send posts one compressed request in protocol p and gives the answer, whatever its code; an error says that there was none.
func (s *post) send(ctx context.Context, p Protocol, packed []byte) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("no answer within %s", setting.Duration(s.timeout)))
	defer cancel()
	request, err := s.request(ctx, p, packed)
	if err != nil {
		return answer{}, fmt.Errorf("POST %s: %w", s.place, err)
	}
	reply, err := s.client.Do(request)
	if err != nil {
		return answer{}, s.host.Explain(err)
	}
	defer reply.Body.Close()
	// The code has been given: what came of the text is better than why no more did.
	body, _ := io.ReadAll(io.LimitReader(reply.Body, maxReply))
	a := answer{code: reply.StatusCode, text: text.Cut(text.OneLine(s.host.Secrets.Scrub(string(body))), maxText)}
	a.pause, _ = httpclient.RetryAfter(reply, time.Now())
	if p == Protocol2 {
		a.wrote, a.told = wroteHeaders(reply.Header)
	}
	return a, nil
}

func (s *post) request(ctx context.Context, p Protocol, packed []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	for name, text := range s.headers {
		value, err := s.host.Secrets.Text(text)
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", name, err)
		}
		if httpclient.NamesSecret(name) {
			s.host.Secrets.Remember(value)
		}
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Encoding", "snappy")
	if p == Protocol2 {
		request.Header.Set("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
		request.Header.Set(versionHeader, "2.0.0")
	} else {
		request.Header.Set("Content-Type", "application/x-protobuf")
		request.Header.Set(versionHeader, "0.1.0")
	}
	return request, nil
}

// wroteHeaders reads what a 2.0 receiver says that it has written; of two headers, a missing one is zero.
func wroteHeaders(h http.Header) (w written, told bool) {
	read := func(name string, n *int) {
		if v, err := strconv.Atoi(h.Get(name)); err == nil && v >= 0 {
			*n, told = v, true
		}
	}
	read(samplesHeader, &w.samples)
	read(histogramsHeader, &w.histograms)
	return w, told
}

// maxText bounds a receiver's text in a message, in bytes. Mimir names a series' labels in it.
const maxText = 600

// status is the answer in one line.
func (a *answer) status() string {
	text := strings.TrimSpace(fmt.Sprintf("%d %s", a.code, http.StatusText(a.code)))
	if a.text != "" {
		text += ": " + a.text
	}
	return text
}

// error is an answer that is no success.
func (a *answer) error(place string) error { return fmt.Errorf("POST %s: %s", place, a.status()) }

// advised is error with what to do about it, as far as that is known.
func (a *answer) advised(place string) error {
	if do := remedy(a.code, a.text); do != "" {
		return fmt.Errorf("%w (%s)", a.error(place), do)
	}
	return a.error(place)
}

// isTransient tells answers that speak of the moment. The specification names 429 and 5xx; after 408, which says that the
// request has not come in whole, RFC 9110 (15.5.9) lets it be repeated.
func (a *answer) isTransient() bool { return a.code == 408 || a.code == 429 || a.code >= 500 }

// isAboutUs tells answers that speak of the sender's way and credentials, not of its samples.
func (a *answer) isAboutUs() bool {
	return a.code/100 == 3 || a.code == 401 || a.code == 403 || a.code == 404 || a.code == 405 || a.code == 407
}
