package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// Behavior is how a fetcher's peer behaves. The peer is the server, program or file from which the fetcher gets its document.
type Behavior int

// The behaviors of a peer.
const (
	Answers Behavior = iota // always with the same document
	Fails                   // with an error that repeats the request: address, headers, environment
	Hangs                   // does not answer before the context ends
)

// FetcherPeer is a new fetcher and its peer.
type FetcherPeer struct {
	Fetcher sources.Fetcher

	// Behave sets how the peer behaves from now on. Before the first call, the behavior is Answers.
	Behave func(Behavior)
	// Fixed says that the fetcher accepts only the request of its settings.
	Fixed bool
	// NeverHangs says that the peer cannot hang, as is the case with a file.
	NeverHangs bool
	// Logged returns what the fetcher has logged and shown: see [FetcherEnv].
	Logged func() string
}

// Secret is the value of every secret env:NAME in the environment of [FetcherEnv]. It must not appear in an error or the log.
const Secret = secret

// FetcherEnv returns an environment for a fetcher, and a function that returns what the fetcher has logged and shown. The argument "dir" is
// the directory to which paths are relative.
func FetcherEnv(dir string) (env sources.Env, logged func() string) {
	p := &peer{}
	secrets := &setting.SecretStore{Dir: dir, LookupEnv: func(string) (string, bool) { return Secret, true }}
	return sources.Env{
		Job:  "under_test",
		Log:  slog.New(slog.NewTextHandler(p, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Web:  &httpclient.Host{Secrets: secrets, UserAgent: "sourcetest"},
		Dir:  dir,
		Show: func(section, line string) { fmt.Fprintln(p, section, secrets.Scrub(line)) },
	}, p.logged
}

// RunFetcher runs the suite for fetchers. It calls the function "open" for each test. Whatever this function starts must be stopped by
// t.Cleanup.
func RunFetcher(t *testing.T, open func(t *testing.T) FetcherPeer) {
	for _, c := range []struct {
		name string
		test func(*fetcherSuite)
	}{
		{"fetches a document", (*fetcherSuite).fetches},
		{"leaves no trace of a failed fetch", (*fetcherSuite).fails},
		{"returns when its context ends", (*fetcherSuite).returns},
		{"keeps its document until the next call", (*fetcherSuite).keeps},
		{"accepts or refuses another request", (*fetcherSuite).accepts},
		{"does not reveal secrets", (*fetcherSuite).keepsSecrets},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &fetcherSuite{T: t, open: open, FetcherPeer: open(t)}
			c.test(s)
			if strings.Contains(s.Logged(), Secret) {
				t.Errorf("the secret is revealed:\n%s", s.Logged())
			}
		})
	}
}

// fetcherSuite is one test of the suite.
type fetcherSuite struct {
	*testing.T
	FetcherPeer
	open func(t *testing.T) FetcherPeer
}

// fetch fetches a document and checks it, or its error. A panic fails the test.
func (s *fetcherSuite) fetch(ctx context.Context, f sources.Fetcher, r sources.Request) (*sources.Document, error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			s.Fatalf("Fetch panics: %v", p)
		}
	}()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	doc, err := f.Fetch(ctx, sources.Tick{Time: at, Start: at.Add(-time.Minute), End: at}, r)
	if err != nil {
		oneLine(s.T, err.Error())
		return nil, err
	}
	if doc == nil {
		s.Fatal("Fetch returns neither a document nor an error")
	}
	oneLine(s.T, doc.From)
	return doc, nil
}

// text fetches the document of the settings, which has to succeed, and returns it as text.
func (s *fetcherSuite) text() string {
	s.Helper()
	doc, err := s.fetch(s.Context(), s.Fetcher, sources.Request{})
	if err != nil {
		s.Fatalf("Fetch: %v", err)
	}
	return doc.Root.Raw()
}

func (s *fetcherSuite) fetches() {
	first := s.text()
	if first == "" || first == "null" {
		s.Fatalf("the document is %q", first)
	}
	if second := s.text(); second != first {
		s.Errorf("the second fetch returns %s, the first %s", second, first)
	}
}

func (s *fetcherSuite) fails() {
	before := s.text()
	s.Behave(Fails)
	if doc, err := s.fetch(s.Context(), s.Fetcher, sources.Request{}); err == nil {
		s.Errorf("Fetch from a peer that fails returns %s and no error", doc.Root.Raw())
	}
	ended, end := context.WithCancelCause(s.Context())
	end(errors.New("the tick has ended"))
	_, _ = s.fetch(ended, s.Fetcher, sources.Request{}) // it only has to return
	s.Behave(Answers)
	if after := s.text(); after != before {
		s.Errorf("after a failed fetch the document is %s, before it was %s", after, before)
	}
}

func (s *fetcherSuite) returns() {
	if s.NeverHangs {
		s.Skip("the peer cannot hang")
	}
	before := s.text()
	s.Behave(Hangs)
	ctx, cancel := context.WithTimeout(s.Context(), 100*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := s.Fetcher.Fetch(ctx, sources.Tick{Time: time.Unix(0, 0)}, sources.Request{})
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			s.Error("Fetch returns no error though its context has ended")
		}
	case <-time.After(timeout):
		s.Fatalf("Fetch has not returned %s after the end of its context", timeout)
	}
	s.Behave(Answers)
	if after := s.text(); after != before {
		s.Errorf("after a fetch that was ended the document is %s, before it was %s", after, before)
	}
}

func (s *fetcherSuite) keeps() {
	doc, err := s.fetch(s.Context(), s.Fetcher, sources.Request{})
	if err != nil {
		s.Fatal(err)
	}
	before := doc.Root.Raw()
	other := s.open(s.T)
	for _, behavior := range []Behavior{Answers, Fails} {
		other.Behave(behavior)
		_, _ = s.fetch(s.Context(), other.Fetcher, sources.Request{})
	}
	if now := doc.Root.Raw(); now != before {
		s.Errorf("another fetcher of the same settings changes the document from %s to %s", before, now)
	}
}

func (s *fetcherSuite) accepts() {
	before := s.text()
	_, err := s.fetch(s.Context(), s.Fetcher, sources.Request{Query: []sources.Parameter{{Name: "page", Value: "2"}}})
	switch {
	case s.Fixed && !errors.Is(err, sources.ErrFixedRequest):
		s.Errorf("Fetch of another request: error %v, want ErrFixedRequest", err)
	case !s.Fixed && err != nil:
		s.Errorf("Fetch of another request: %v", err)
	}
	if after := s.text(); after != before {
		s.Errorf("after another request the document of the settings is %s, before it was %s", after, before)
	}
}

func (s *fetcherSuite) keepsSecrets() {
	s.Behave(Fails)
	_, _ = s.fetch(s.Context(), s.Fetcher, sources.Request{}) // fetch checks the error
	s.Behave(Answers)
	s.text()
}
