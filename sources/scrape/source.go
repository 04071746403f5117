package scrape

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// How targets are scraped.
const (
	maxAtOnce   = 32
	windowSize  = 64 << 10               // bytes
	maxKept     = 64 << 10               // memory for what a page does not repeat that is kept though little was needed, in bytes
	reserve     = 500 * time.Millisecond // of a tick's time, for what comes after the slowest target
	maxProblems = 3                      // that are told one by one
)

// source is what is known of all targets.
type source struct {
	set    *Config
	env    sources.Env
	client *httpclient.Client
	rules  []*relabel.Config

	files    files
	targets  []*target
	scrape   uint32 // counts ticks
	families map[familyKey]*family
	series   map[uint64]*series // by hashOf
	up       *family

	mu      sync.Mutex   // over what follows while pages are taken, and over the above
	seed    maphash.Seed // of all hashes
	index   index        // of the target at hand
	about   *about       // that was said last
	builder *labels.Builder
	text    []byte
	drops   []metric.Drop
	now     int64 // the tick's time, Unix milliseconds
	values  arena[metric.HistogramValue]
	more    arena[metric.More]
	sums    arena[metric.SummaryValue]
	counts  arena[uint64]
	floats  arena[float64]
	outputs output

	memory []memory // of the workers
}

func newSource(c *Config, env sources.Env, client *httpclient.Client, rules []*relabel.Config) *source {
	s := &source{
		set: c, env: env, client: client, rules: rules,
		files:    files{dir: env.Dir, patterns: c.FileSD.Files},
		families: map[familyKey]*family{}, series: map[uint64]*series{}, seed: maphash.MakeSeed(),
		builder: labels.NewBuilder(labels.EmptyLabels()),
	}
	s.up = s.acquire(reportKey(0), nil)
	return s
}

// Collect scrapes every target once. A target that cannot be scraped costs its own series alone: that it is down is a
// reading too.
func (s *source) Collect(ctx context.Context, tick sources.Tick) (metric.Readings, error) {
	s.scrape++
	s.now, s.drops = tick.Time.UnixMilli(), s.drops[:0]
	problems := s.discover()
	s.all(ctx, tick)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	problems = append(s.failures(), problems...)
	for _, t := range s.targets {
		t.fillReport()
	}
	return s.readings(s.told(problems)), nil
}

// all scrapes the targets side by side, and ends before the tick does.
func (s *source) all(ctx context.Context, tick sources.Tick) {
	ctx, cancel := bounded(ctx, tick)
	defer cancel()
	next := make(chan *target)
	var wg sync.WaitGroup
	workers := min(maxAtOnce, len(s.targets))
	for len(s.memory) < workers {
		s.memory = append(s.memory, memory{window: make([]byte, windowSize)})
	}
	for i := range workers {
		wg.Go(func() {
			for t := range next {
				s.one(ctx, t, &s.memory[i])
			}
		})
	}
	for _, t := range s.targets {
		next <- t
	}
	close(next)
	wg.Wait()
}

var errSlow = errors.New("no end in time: a target has the job's timeout, and at most until the next tick")

// bounded is the time that the targets have: less than the tick, so that a slow one costs itself alone, and less than the
// interval, so that it does not delay the next tick of the others.
func bounded(ctx context.Context, tick sources.Tick) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if next := time.Now().Add(tick.Interval); tick.Interval > 0 && (!ok || next.Before(deadline)) {
		deadline, ok = next, true
	}
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadlineCause(ctx, deadline.Add(-min(reserve, time.Until(deadline)/4)), errSlow)
}

// memory is what a worker needs for a page, kept for the next one.
type memory struct {
	window []byte // through which the lines go that a page repeats
	body   []byte // the rest
}

// one scrapes one target.
func (s *source) one(ctx context.Context, t *target, m *memory) {
	begin := time.Now()
	t.begin()
	known := len(t.before) > 0
	var p page
	err := context.Cause(ctx)
	if err == nil {
		p, err = s.fetch(ctx, t, m)
	} else {
		err = t.wrong(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		if err = s.contained(func() error { return s.take(t, p) }); err != nil {
			err = t.wrong(err)
		}
	}
	t.err = err
	t.end(s)
	t.took = time.Since(begin)
	if cap(m.body) > maxKept && (!known || cap(m.body) > 4*len(m.body)) {
		m.body = nil // the next page will repeat this one
	}
}

// contained reads of a page; a panic is that page's problem.
func (s *source) contained(read func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			// A page can do so at every tick; that it does is among the tick's problems.
			s.env.Log.Debug("reading a page panicked", "panic", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("reading the page panicked: %v", v)
		}
	}()
	return read()
}

func (s *source) failures() (all []error) {
	for _, t := range s.targets {
		if t.err != nil {
			all = append(all, t.err)
		}
	}
	return all
}

// told is the problems as one, nil where there are none.
func (s *source) told(problems []error) error {
	if len(problems) == 0 {
		return nil
	}
	var texts []string
	for i, p := range problems {
		if i == maxProblems {
			texts = append(texts, fmt.Sprintf("and %d more", len(problems)-i))
			break
		}
		texts = append(texts, p.Error())
	}
	return errors.New(strings.Join(texts, "; "))
}

// drop counts samples that are left out; what they are is asked only for the first of a reason.
func (s *source) drop(reason metric.Reason, what func() string) {
	for i := range s.drops {
		if s.drops[i].Reason == reason {
			s.drops[i].Count++
			return
		}
	}
	s.drops = append(s.drops, metric.Drop{Reason: reason, Count: 1, First: what()})
}
