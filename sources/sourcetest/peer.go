package sourcetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// secret is the value of every secret.
const secret = "s3cret-of-the-suite"

// peer answers a source: it is the fetcher, and the server of every HTTP request.
type peer struct {
	mu       sync.Mutex
	document string
	kind     string // the Content-Type of answers
	behave   behaviour
	asked    int
	reached  chan struct{} // closed when a request hangs

	buffer []byte // used again for each document, as in a real fetcher
	parser sources.Parser
	output strings.Builder // what was logged and shown
}

// behaviour is how the peer answers.
type behaviour int

const (
	answers behaviour = iota
	breaks            // fails without an answer
	hangs             // does not answer until the context ends
	refuses           // answers with an error that repeats the request
)

func newPeer(t *testing.T, kind string) *peer {
	p := &peer{kind: cmp.Or(kind, "application/json")}
	t.Cleanup(func() {
		if strings.Contains(p.logged(), secret) {
			t.Errorf("the secret is revealed:\n%s", p.logged())
		}
	})
	return p
}

func (p *peer) env(dir string) sources.Env {
	secrets := &setting.SecretStore{Dir: dir, LookupEnv: func(string) (string, bool) { return secret, true }}
	return sources.Env{
		Job: "under_test",
		Log: slog.New(slog.NewTextHandler(p, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Web: &httpclient.Host{Secrets: secrets, UserAgent: "sourcetest", Transport: p}, Fetch: p, Dir: dir,
		Show: func(section, line string) { fmt.Fprintln(p, section, line) }, MaxSeries: 100_000,
	}
}

// Write records what is logged.
func (p *peer) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(text)
}

func (p *peer) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

func (p *peer) answer(document string) { p.set(answers, document) }

func (p *peer) set(behave behaviour, document string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behave, p.document, p.asked, p.reached = behave, document, 0, make(chan struct{})
}

// ask returns the answer to a request.
func (p *peer) ask(ctx context.Context) (document string, behave behaviour, err error) {
	p.mu.Lock()
	document, behave, reached := p.document, p.behave, p.reached
	p.asked++
	first := p.asked == 1
	p.mu.Unlock()
	if behave == hangs {
		if first {
			close(reached)
		}
		<-ctx.Done()
	}
	switch {
	case ctx.Err() != nil:
		return "", behave, context.Cause(ctx)
	case behave == breaks:
		return "", behave, errors.New("connection refused")
	}
	return document, behave, nil
}

// from says where documents come from, for messages.
const from = "GET https://api.example.com/v1"

// fetch puts the answer into the buffer, where it is valid until the next call, as with a real fetcher.
func (p *peer) fetch(ctx context.Context) error {
	document, behave, err := p.ask(ctx)
	if err == nil && behave == refuses {
		err = errors.New("401 Unauthorized")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	// Overwrite the last document.
	for i := range p.buffer {
		p.buffer[i] = '#'
	}
	p.buffer = append(p.buffer[:0], document...)
	return nil
}

// FetchTexts implements sources.TextFetcher.
func (p *peer) FetchTexts(ctx context.Context, _ sources.Tick, yield func(sources.Text) error) error {
	if err := p.fetch(ctx); err != nil {
		return err
	}
	return yield(sources.Text{From: from, Body: p.buffer})
}

// Fetch implements sources.Fetcher. It answers every request with the document.
func (p *peer) Fetch(ctx context.Context, _ sources.Tick, _ sources.Request) (*sources.Document, error) {
	if err := p.fetch(ctx); err != nil {
		return nil, err
	}
	doc, err := p.parser.JSON(from, p.buffer)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return doc, nil
}

// RoundTrip answers every HTTP request.
func (p *peer) RoundTrip(req *http.Request) (*http.Response, error) {
	sent := new(strings.Builder)
	fmt.Fprintln(sent, req.Method, req.URL, req.Header)
	if req.Body != nil {
		_, _ = io.Copy(sent, req.Body)
		req.Body.Close()
	}
	document, behave, err := p.ask(req.Context())
	if err != nil {
		return nil, err
	}
	code := http.StatusOK
	if behave == refuses {
		code, document = http.StatusUnauthorized, sent.String()
	}
	return &http.Response{
		StatusCode: code, Status: fmt.Sprint(code, " ", http.StatusText(code)), Request: req,
		Header: http.Header{"Content-Type": {p.kind}}, Body: io.NopCloser(strings.NewReader(document)),
	}, nil
}
