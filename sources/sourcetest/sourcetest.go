// Package sourcetest is the test suites for sources and fetchers. They test what the agent relies on: see the contract in package
// sources.
//
// A fetcher's test calls [RunFetcher] with a function that returns the fetcher and its peer, such as a server. A source's test calls [Run]
// with the settings and with documents to measure:
//
//	func TestSuite(t *testing.T) {
//		sourcetest.Run(t, sourcetest.Subject{
//			Config:    func(*testing.T) sources.Config[sources.Source] { return &Config{Key: "env:KEY"} },
//			Documents: []string{`{"waiting": 3}`, `{"waiting": 0}`},
//		})
//	}
package sourcetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// Subject is the source to test. The suite gives the source a fetcher and an HTTP client, and answers each request that the source makes
// with them. Each secret of the form env:NAME has a value.
type Subject struct {
	// Config returns new settings.
	Config func(t *testing.T) sources.Config[sources.Source]

	// Dir is the directory to which paths in the settings are relative. "" = an empty directory.
	Dir string

	// Documents are the answers, one for each tick: at least two JSON texts. Every metric can be measured in each of them.
	Documents []string

	// ContentType is the content type of Documents. "" = application/json.
	ContentType string

	// PassesOn says that the source passes on the series in its documents. After a failed request, it is enough that one of its metrics
	// has an Err. Unless the source is a TextReader, it gets no fetcher, since it fetches or receives the documents itself.
	PassesOn bool
	// Push delivers a document to a source that others push to. nil = the source fetches its documents.
	Push func(t *testing.T, source sources.Source, document string)
	// Varying are the names of metrics whose readings differ from tick to tick even if the document is the same.
	Varying []string

	// Partial is a document in which only the metric Failing cannot be measured. "" = there is no such document.
	Partial, Failing string
}

// Run runs the suite. It makes a new source for each test.
func Run(t *testing.T, subject Subject) {
	if len(subject.Documents) < 2 {
		t.Fatal("the suite needs at least two documents")
	}
	for _, c := range []struct {
		name string
		test func(*suite)
	}{
		{"measures what it declares", (*suite).measures},
		{"leaves no trace of a failed tick", (*suite).fails},
		{"returns when its context ends", (*suite).returns},
		{"does not change earlier readings", (*suite).leaves},
		{"survives hostile documents", (*suite).endures},
		{"does not reveal secrets", (*suite).keepsSecrets},
		{"reports the problem of one metric and measures the others", (*suite).divides},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.test(&suite{T: t, Subject: subject})
		})
	}
}

// suite is one test of the suite.
type suite struct {
	*testing.T
	Subject
}

// timeout is the longest time that the suite waits for anything.
const timeout = 10 * time.Second

// instance is a source with its peer.
type instance struct {
	*suite
	peer   *peer
	config sources.Config[sources.Source]
	source sources.Source
	ticks  int
	descs  map[string]*metric.Desc // descriptions of metrics in the first tick, by name
}

// open makes a source of new settings.
func (s *suite) open() *instance {
	s.Helper()
	config := s.Config(s.T)
	if err := config.Validate(); err != nil {
		s.Fatalf("Validate: %v", err)
	}
	return s.make(config)
}

// make makes a source of the settings.
func (s *suite) make(config sources.Config[sources.Source]) *instance {
	s.Helper()
	i := &instance{suite: s, peer: newPeer(s.T, s.ContentType), config: config, descs: map[string]*metric.Desc{}}
	dir := s.Dir
	if dir == "" {
		dir = s.TempDir()
	}
	env := i.peer.env(dir)
	if _, reads := config.(sources.TextReader); s.PassesOn && !reads {
		env.Fetch = nil
	}
	source, err := config.New(env)
	if err != nil {
		s.Fatalf("New: %v", err)
	}
	i.source = source
	return i
}

// tick runs one tick and checks its readings or error. A panic fails the test.
func (i *instance) tick(ctx context.Context) (readings metric.Readings, err error) {
	i.Helper()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			i.Fatalf("Collect panics on %.200q: %v", i.peer.document, p)
		}
	}()
	i.ticks++
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(i.ticks) * time.Minute)
	readings, err = i.source.Collect(ctx, sources.Tick{Time: at, Start: at.Add(-time.Minute), End: at})
	if err != nil {
		i.isOneLine(err.Error())
		return nil, err
	}
	i.wellFormed(readings)
	return readings, nil
}

// answer makes the source have the document in the next tick.
func (i *instance) answer(document string) {
	i.Helper()
	i.peer.answer(document)
	if i.Push != nil {
		i.Push(i.T, i.source, document)
	}
}

// collect runs a tick that has to succeed, and returns its readings as text.
func (i *instance) collect(document string) string {
	i.Helper()
	i.answer(document)
	readings, err := i.tick(i.Context())
	if err != nil {
		i.Fatalf("Collect of %.200q: %v", document, err)
	}
	return i.text(readings)
}

// text returns readings as text, without the metrics that vary.
func (s *suite) text(readings metric.Readings) string {
	all := ""
	for _, m := range readings {
		if slices.Contains(s.Varying, m.Desc.Name) {
			continue
		}
		all += fmt.Sprintf("%s error %v drops %v\n", m.Desc.Name, m.Err, m.Drops)
		for _, r := range m.Rows {
			all += fmt.Sprintf("  %q %v %d %q\n", r.Labels, r.Value, r.Time, r.Event)
		}
		for _, series := range m.Series {
			all += fmt.Sprintf("  %v %v %d\n", series.Labels, series.Value, series.Time)
		}
	}
	return all
}
