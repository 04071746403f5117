package sourcetest

import (
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

// secret is what every reference to the environment stands for.
const secret = "s3cret-of-the-suite"

// peer is whatever a source can ask: a fetcher, and the server behind its HTTP.
type peer struct {
	mu       sync.Mutex
	document string
	behave   behaviour
	asked    int
	reached  chan struct{} // closed when something hangs

	buffer []byte // as a real fetcher's, used again for each document
	parser sources.Parser
	said   strings.Builder // all that was logged and shown
}

// behaviour is how the peer takes a request.
type behaviour int

const (
	answers behaviour = iota
	breaks            // there is no answer
	hangs             // there is none until the context ends
	refuses           // the answer is an error that repeats all that was sent
)

func newPeer(t *testing.T) *peer {
	p := &peer{}
	t.Cleanup(func() {
		if strings.Contains(p.heard(), secret) {
			t.Errorf("the secret is told:\n%s", p.heard())
		}
	})
	return p
}

func (p *peer) env(dir string) sources.Env {
	vault := &setting.SecretStore{Dir: dir, LookupEnv: func(string) (string, bool) { return secret, true }}
	return sources.Env{
		Job: "under_test",
		Log: slog.New(slog.NewTextHandler(p, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Web: &httpclient.Host{Secrets: vault, UserAgent: "sourcetest", Answer: p}, Fetch: p, Dir: dir,
		Show: func(section, line string) { fmt.Fprintln(p, section, line) },
	}
}

// Write takes what is logged.
func (p *peer) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(text)
}

func (p *peer) heard() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

func (p *peer) answer(document string) { p.set(answers, document) }

func (p *peer) set(behave behaviour, document string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behave, p.document, p.asked, p.reached = behave, document, 0, make(chan struct{})
}

// ask is how every request begins: what is answered, or why nothing is.
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

// Fetch is as a fetcher's: the document is valid until the next call.
func (p *peer) Fetch(ctx context.Context, _ sources.Tick) (*sources.Document, error) {
	const from = "GET https://api.example.com/v1"
	document, behave, err := p.ask(ctx)
	if err == nil && behave == refuses {
		err = errors.New("401 Unauthorized")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	// Texts of the last document become garbage, as they may.
	for i := range p.buffer {
		p.buffer[i] = '#'
	}
	p.buffer = append(p.buffer[:0], document...)
	doc, err := p.parser.JSON(from, p.buffer)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return doc, nil
}

// Ask gives every request the same answer.
func (p *peer) Ask(ctx context.Context, tick sources.Tick, _ sources.Request) (*sources.Document, error) {
	return p.Fetch(ctx, tick)
}

// RoundTrip answers in place of every server.
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
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(document)),
	}, nil
}
