package expose

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// How pages are kept.
const (
	forgetAfter = 10 * time.Minute // a page that nobody asks for is not rendered for longer
	maxEditions = 8                // whoever asks for ever other formats cannot make every tick slower
	chunk       = 1000             // series that are rendered at a time
)

// sink renders on one side and serves on the other. They meet at the editions' pages, which are never changed.
type sink struct {
	config Config
	env    sinks.Env

	editions atomic.Pointer[map[variant]*edition] // the map is never changed
	bound    atomic.Pointer[string]               // the address, once it is bound

	mu        sync.Mutex // over all that follows
	shelf     shelf
	converter metric.Converter
	job       string // whose series are being converted
	lost      map[string]string
}

func newSink(c *Config, env sinks.Env) *sink {
	s := &sink{config: *c, env: env, lost: map[string]string{}}
	s.editions.Store(&map[variant]*edition{})
	s.shelf = shelf{apart: c.JobLabel != "", families: map[string]*family{}, jobs: map[string][]*family{}}
	if c.JobLabel != "" {
		s.converter.Labels = s.withJob
	}
	return s
}

// Write puts the batch on the page. It does nothing that could wait.
func (s *sink) Write(_ context.Context, b metric.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	touched := s.shelf.put(&b)
	kept := s.kept(time.Now())
	for _, f := range touched {
		s.render(f, kept)
	}
	for _, e := range kept {
		s.publish(e)
	}
	s.account(b.Job, touched)
	return nil
}

// page is the newest page of a variant. One that has not been asked for before is rendered first.
func (s *sink) page(v variant) *page {
	e := (*s.editions.Load())[v]
	if e == nil {
		e = s.edition(v)
	}
	e.asked.Store(time.Now().Unix())
	return e.page.Load()
}

func (s *sink) edition(v variant) *edition {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := (*s.editions.Load())[v]; e != nil {
		return e // somebody else was quicker
	}
	e := newEdition(v, s.config.CreatedSeries)
	for _, f := range s.shelf.sorted {
		s.render(f, []*edition{e})
	}
	s.publish(e)
	now := time.Now()
	e.asked.Store(now.Unix())
	kept := s.kept(now)
	all := map[variant]*edition{v: e}
	for _, other := range kept[max(0, len(kept)-maxEditions+1):] {
		all[other.variant] = other
	}
	s.editions.Store(&all)
	return e
}

// kept are the editions that somebody still asks for, the one asked for last at the end. The others are forgotten.
func (s *sink) kept(now time.Time) []*edition {
	all := maps.Clone(*s.editions.Load())
	n := len(all)
	maps.DeleteFunc(all, func(_ variant, e *edition) bool {
		return e.asked.Load() < now.Add(-forgetAfter).Unix()
	})
	if len(all) < n {
		s.editions.Store(&all)
	}
	return slices.SortedFunc(maps.Values(all), func(a, b *edition) int { return int(a.asked.Load() - b.asked.Load()) })
}

func (s *sink) publish(e *edition) {
	before := e.hidden
	if e.publish(s.shelf.sorted); e.hidden > 0 && before == 0 {
		s.env.Log.Warn("names become one for a scraper that does not take UTF-8: series are left off its page",
			"escaping", e.encoder.escape.scheme.String(), "series", e.hidden)
	}
}

// account counts what of the batch is on the page and what is not.
func (s *sink) account(job string, touched []*family) {
	var sent, lost int
	var first string
	for _, f := range touched {
		for i := range f.shown {
			if f.shown[i].job == job {
				sent += len(f.shown[i].Series)
			}
		}
		for _, l := range f.lost {
			if l.job != job {
				continue
			}
			s.env.Stats.Drop(l.reason, l.series)
			lost += l.series
			if first == "" {
				first = f.name + ": " + l.why
			}
		}
	}
	s.env.Stats.Sent.Add(int64(sent))
	if first == s.lost[job] {
		return
	}
	if s.lost[job] = first; first == "" {
		delete(s.lost, job)
		s.env.Log.Info("all series of the job are on the page again", "job", job)
		return
	}
	s.env.Log.Warn("series are left off the page", "job", job, "series", lost, "first", first)
}
