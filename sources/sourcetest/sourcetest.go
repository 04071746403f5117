// Package sourcetest is the suite that every source passes: what the agent relies on when it asks a source for a tick.
package sourcetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// Subject is a source, and what it is tested on. Whatever it asks, through its fetcher or through HTTP of its own, is
// answered by the suite; every secret that it refers to by env:NAME is one of the suite's.
type Subject struct {
	// Config is the settings, fresh at each call.
	Config func(t *testing.T) sources.Config[sources.Source]

	// Dir is the folder that the settings' relative paths are taken from; "" = an empty one.
	Dir string

	// Documents are what is answered, one for each tick: at least two JSON texts, of which every metric is measured whole.
	Documents []string

	// Partial is a document of which the metric called Failing cannot be measured, and every other metric can; "" = there
	// is no such thing.
	Partial, Failing string
}

// Run tests the source, made afresh for each test.
func Run(t *testing.T, subject Subject) {
	if len(subject.Documents) < 2 {
		t.Fatal("the suite needs at least two documents")
	}
	for _, c := range []struct {
		name string
		test func(*session)
	}{
		{"measures what it declares", (*session).measures},
		{"leaves no trace of a failed tick", (*session).fails},
		{"returns when its context ends", (*session).returns},
		{"leaves readings alone", (*session).leaves},
		{"takes hostile documents", (*session).endures},
		{"keeps secrets", (*session).keepsSecrets},
		{"keeps the problem of one metric from the others", (*session).divides},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.test(&session{T: t, Subject: subject})
		})
	}
}

type session struct {
	*testing.T
	Subject
}

// patience bounds everything that the suite waits for.
const patience = 10 * time.Second

// instance is a source at work.
type instance struct {
	*session
	peer   *peer
	config sources.Config[sources.Source]
	source sources.Source
	ticks  int
	descs  map[string]*metric.Desc // as the source gave them first
}

// open makes a source of fresh settings.
func (s *session) open() *instance {
	s.Helper()
	config := s.Config(s.T)
	if err := config.Validate(); err != nil {
		s.Fatalf("Validate: %v", err)
	}
	return s.make(config)
}

func (s *session) make(config sources.Config[sources.Source]) *instance {
	s.Helper()
	i := &instance{session: s, peer: newPeer(s.T), config: config, descs: map[string]*metric.Desc{}}
	dir := s.Dir
	if dir == "" {
		dir = s.TempDir()
	}
	source, err := config.New(i.peer.env(dir))
	if err != nil {
		s.Fatalf("New: %v", err)
	}
	i.source = source
	return i
}

// tick does one tick on what the peer answers. A panic is a failed test.
func (i *instance) tick(ctx context.Context) (readings metric.Readings, err error) {
	i.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
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

// collect does a tick that has to succeed, and is its readings as text.
func (i *instance) collect(document string) string {
	i.Helper()
	i.peer.answer(document)
	readings, err := i.tick(i.Context())
	if err != nil {
		i.Fatalf("Collect of %.200q: %v", document, err)
	}
	return text(readings)
}

// text is readings as text.
func text(readings metric.Readings) string {
	all := ""
	for _, m := range readings {
		all += fmt.Sprintf("%s error %v drops %v\n", m.Desc.Name, m.Err, m.Drops)
		for _, r := range m.Rows {
			all += fmt.Sprintf("  %q %v %d %q\n", r.Labels, r.Value, r.Time, r.Event)
		}
	}
	return all
}
