package sourcetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

func (s *suite) measures() {
	i := s.open()
	for _, document := range s.Documents {
		i.answer(document)
		readings, err := i.tick(s.Context())
		if err != nil {
			s.Fatalf("Collect of %.200q: %v", document, err)
		}
		i.isWhole(readings, "")
	}
	first := i.rows(s.Documents[0])
	for name, n := range i.rows(s.Documents[0]) {
		if n > first[name] {
			s.Errorf("%s has %d readings of a document, and %d of the same document again: are readings of the tick before left?", name, first[name], n)
		}
	}
}

// rows returns the number of readings of each metric in a tick with this document.
func (i *instance) rows(document string) map[string]int {
	i.Helper()
	i.answer(document)
	readings, err := i.tick(i.Context())
	if err != nil {
		i.Fatalf("Collect of %.200q: %v", document, err)
	}
	rows := map[string]int{}
	for _, m := range readings {
		rows[m.Desc.Name] = len(m.Rows)
	}
	return rows
}

func (s *suite) fails() {
	want := s.open()
	want.collect(s.Documents[0])
	after := want.collect(s.Documents[1])
	ended, end := context.WithCancelCause(s.Context())
	end(errors.New("the tick has ended"))
	for name, fail := range map[string]func(i *instance) (metric.Readings, error){
		"no answer":   func(i *instance) (metric.Readings, error) { i.peer.set(breaks, ""); return i.tick(s.Context()) },
		"refusal":     func(i *instance) (metric.Readings, error) { i.peer.set(refuses, ""); return i.tick(s.Context()) },
		"no JSON":     func(i *instance) (metric.Readings, error) { i.answer("<html>"); return i.tick(s.Context()) },
		"ended":       func(i *instance) (metric.Readings, error) { i.peer.set(breaks, ""); return i.tick(ended) },
		"short JSON":  func(i *instance) (metric.Readings, error) { return i.half() },
		"empty reply": func(i *instance) (metric.Readings, error) { i.answer(""); return i.tick(s.Context()) },
	} {
		if s.PassesOn && (strings.Contains(name, "JSON") || name == "empty reply") {
			continue // a page can be empty, and it can end anywhere
		}
		i := s.open()
		i.collect(s.Documents[0])
		readings, err := fail(i)
		if err == nil && i.peer.asked > 0 {
			i.allFail(name, readings)
		}
		i.ticks = 1 // as if the tick had not been tried
		if got := i.collect(s.Documents[1]); err != nil && got != after {
			s.Errorf("%s: the tick after the failed one measures\n%swithout it\n%s", name, got, after)
		}
	}
}

// half runs a tick with half of a document.
func (i *instance) half() (metric.Readings, error) {
	i.answer(i.Documents[1][:len(i.Documents[1])/2])
	return i.tick(i.Context())
}

// allFail checks that each metric of a failed request has an error. If the source has PassesOn set, one metric is enough.
func (i *instance) allFail(name string, readings metric.Readings) {
	i.Helper()
	if i.PassesOn {
		if !slices.ContainsFunc(readings, func(m metric.Measured) bool { return m.Err != nil }) {
			i.Errorf("%s: no metric has an error", name)
		}
		return
	}
	failed := map[string]bool{}
	for _, m := range readings {
		failed[m.Desc.Name] = m.Err != nil
		if m.Err == nil {
			i.Errorf("%s: %s has %d readings and no error, want an error", name, m.Desc.Name, len(m.Rows))
		}
	}
	for declared := range i.declared() {
		if _, there := failed[declared]; !there {
			i.Errorf("%s: %s has no entry, which means that it has no series; want an error", name, declared)
		}
	}
}

func (s *suite) returns() {
	if s.Push != nil {
		s.Skip("the source sends no requests")
	}
	i := s.open()
	i.peer.set(hangs, "")
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	reached, done := i.peer.reached, make(chan struct{})
	go func() {
		defer close(done)
		_, _ = i.source.Collect(ctx, sources.Tick{Time: time.Unix(0, 0)}) // it only has to return
	}()
	select {
	case <-reached:
	case <-done:
		return // it sends no request
	case <-time.After(timeout):
		s.Fatalf("no request within %s", timeout)
	}
	cancel()
	select {
	case <-done:
	case <-time.After(timeout):
		s.Fatalf("Collect has not returned %s after the end of its context", timeout)
	}
}

// leaves runs other sources of the same settings at the same time, as a check or a reload does. They must not change the readings
// of the first source.
func (s *suite) leaves() {
	a := s.open()
	a.answer(s.Documents[0])
	kept, err := a.tick(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	before := s.text(kept)
	var both sync.WaitGroup
	defer both.Wait()
	for range 2 {
		b := s.make(a.config)
		both.Go(func() {
			for _, document := range s.Documents {
				b.answer(document)
				if _, err := b.tick(s.Context()); err != nil {
					s.Error(err)
				}
			}
		})
	}
	both.Wait()
	if now := s.text(kept); now != before {
		s.Errorf("readings changed before the next tick of their source, from\n%sto\n%s", before, now)
	}
}

func (s *suite) keepsSecrets() {
	i := s.open()
	for _, behave := range []behaviour{refuses, breaks} {
		i.peer.set(behave, "")
		_, _ = i.tick(s.Context()) // tick checks the error
	}
	i.collect(s.Documents[0])
}

func (s *suite) divides() {
	if s.Partial == "" {
		s.Skip("the subject has no partial document")
	}
	i := s.open()
	i.answer(s.Partial)
	readings, err := i.tick(s.Context())
	if err != nil {
		s.Fatalf("the problem of %s fails the whole tick: %v", s.Failing, err)
	}
	i.isWhole(readings, s.Failing)
	for _, m := range readings {
		if m.Desc.Name == s.Failing && m.Err != nil {
			return
		}
	}
	s.Errorf("%s has no error", s.Failing)
}
