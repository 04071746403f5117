package receive

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/webserver"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/receive/groups"
)

const (
	readTimeout = time.Minute // limit for reading a push with its body
	drain       = time.Second // limit for pushes that are in progress when the job ends
)

// source returns the groups of its store as readings.
type source struct {
	config *Config
	env    sources.Env

	mu      sync.Mutex    // guards the fields below
	store   *groups.Store // nil before the first call of Run
	failed  error         // last error of Run
	address *webserver.Server

	// Only Collect uses the following fields.
	shown           []*groups.Group // the groups from which readings was made
	version         int
	readings        metric.Readings
	pushed, refused *metric.Desc
	classic         classics
	adder           *adder
}

func newSource(c *Config, env sources.Env) *source {
	gauge := func(name, help string) *metric.Desc {
		return &metric.Desc{Name: name, Help: help, Type: metric.Gauge, Targeted: true}
	}
	return &source{
		config: c, env: env, adder: newAdder(c.labels),
		pushed: gauge(groups.PushTime, groups.PushTimeHelp), refused: gauge(groups.PushFailureTime, groups.PushFailureTimeHelp),
	}
}

// Run implements [sources.Runner]. It serves until ctx ends.
func (s *source) Run(ctx context.Context) error {
	err := s.run(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
	return err
}

func (s *source) run(ctx context.Context) error {
	store, err := s.open()
	if err != nil {
		return err
	}
	defer store.Close()
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var committing sync.WaitGroup
	committing.Go(func() { store.Run(life) })
	defer committing.Wait()
	defer end() // after the last request has ended
	server := &webserver.Server{
		Listen: s.config.Listen, WebConfigFile: webserver.File(s.env.Dir, s.config.WebConfigFile), Started: "receiving pushes",
		Handler: newHandler(s.config, &s.env, store), ReadTimeout: readTimeout, Drain: drain, Log: s.env.Log,
	}
	s.mu.Lock()
	s.address, s.failed = server, nil
	s.mu.Unlock()
	return server.Run(ctx)
}

// open returns the store. A store in memory is kept when Run is called again.
func (s *source) open() (*groups.Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store != nil && s.config.Dir == "" {
		return s.store, nil
	}
	store, problems, err := groups.Open(s.config.storeOptions(&s.env))
	if err != nil {
		return nil, err
	}
	s.log(problems)
	s.store = store
	return store, nil
}

// Addr returns the address on which Run listens, or "" if it does not listen.
func (s *source) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.address == nil {
		return ""
	}
	return s.address.Addr()
}

// Collect returns the metrics of all groups. If Run was not called, as in a single run of the job, it reads the groups on disk.
func (s *source) Collect(ctx context.Context, _ sources.Tick) (metric.Readings, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	store, failed, err := s.current()
	if err != nil {
		return nil, err
	}
	if err := store.Err(); failed == nil && err != nil {
		failed = fmt.Errorf("pushes are refused: %w", err)
	}
	shown, version := store.Groups()
	if s.readings == nil || version != s.version || !slices.Equal(shown, s.shown) {
		s.readings, s.shown, s.version = s.measure(shown), shown, version
	}
	readings := slices.Clone(s.readings)
	readings[0].Err = failed
	return readings, nil
}

// current returns the store. The result "failed" is the reason why pushes cannot be received, or nil if they can. If Run was not called, it
// returns a store with the groups that are on disk now.
func (s *source) current() (store *groups.Store, failed, err error) {
	s.mu.Lock() // until the store below is closed: otherwise Run could fail, because this store has locked the directory
	defer s.mu.Unlock()
	if s.store != nil {
		return s.store, s.failed, nil
	}
	store, problems, err := groups.Open(s.config.storeOptions(&s.env))
	if err != nil {
		return nil, nil, err
	}
	s.log(problems)
	return store, s.failed, store.Close()
}

func (s *source) log(problems []error) {
	for _, p := range problems {
		s.env.Log.Error(p.Error())
	}
}

// measure converts groups to readings. The first two metrics, the times of the last pushes, are always there.
func (s *source) measure(all []*groups.Group) metric.Readings {
	readings := metric.Readings{{Desc: s.pushed, Series: []metric.Series{}}, {Desc: s.refused, Series: []metric.Series{}}}
	places := map[*metric.Desc]int{}
	for _, g := range all {
		pushed, refused := g.Times()
		readings[0].Series = append(readings[0].Series, pushed)
		readings[1].Series = append(readings[1].Series, refused)
		for _, f := range g.Families {
			for _, p := range f.Parts {
				if p.Desc.Native && !s.config.Native {
					if p.Desc.Type == metric.GaugeHistogram {
						continue // it has no classic buckets
					}
					p = s.classic.of(p)
				}
				at, known := places[p.Desc]
				if !known {
					at = len(readings)
					places[p.Desc] = at
					readings = append(readings, metric.Measured{Desc: p.Desc})
				}
				readings[at].Series = append(readings[at].Series, p.Series...)
			}
		}
	}
	s.classic.forget(places)
	s.adder.toAll(readings)
	return readings
}
