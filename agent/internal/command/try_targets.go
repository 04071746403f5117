package command

import (
	"bytes"
	"context"
	"sync"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// stage lets cton try ask several targets at the same time. What is shown of a target is kept until the targets before it in the list are
// done, so that the output is the same as if they were asked one after another. There is an exception: if several targets share a login, its
// token request is shown with the target that needed the token first, which can differ from run to run.
type stage struct {
	try   *try
	hired bool // the first worker was made
	mu    sync.Mutex
	place map[*sources.Target]int // places of the targets in the list
	done  map[int]*try            // what is shown of targets that are done, by their places, until it is written
	next  int                     // place of the target whose output is written next
}

// stagedTargets are the targets of a job whose fetchers belong to a stage.
type stagedTargets struct {
	sources.Targets
	stage *stage
}

// Discover implements sources.Targets.
func (t stagedTargets) Discover(ctx context.Context, tick sources.Tick) ([]*sources.Target, []error) {
	list, problems := t.Targets.Discover(ctx, tick)
	t.stage.begin(list)
	return list, problems
}

// NewFetcher implements sources.Targets.
func (t stagedTargets) NewFetcher() sources.TargetFetcher {
	first := !t.stage.hired
	t.stage.hired = true
	return &actor{TargetFetcher: t.Targets.NewFetcher(), stage: t.stage, first: first}
}

func (s *stage) begin(list []*sources.Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place, s.done, s.next = map[*sources.Target]int{}, map[int]*try{}, 0
	for i, t := range list {
		s.place[t] = i
	}
}

// leave records that a target is done, and writes all output that can now be written.
func (s *stage) leave(place int, shown *try) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.done[place] = shown; s.done[s.next] != nil; s.next++ {
		s.write(s.next)
	}
}

// end writes the remaining output when the run is over. It does not wait for targets that were not asked before the time was over.
func (s *stage) end() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; s.next < len(s.place); s.next++ {
		if s.done[s.next] != nil {
			s.write(s.next)
		}
	}
}

// write writes what is shown of the target at a place. The caller holds mu.
func (s *stage) write(place int) {
	shown := s.done[place]
	delete(s.done, place)
	shown.mu.Lock()
	defer shown.mu.Unlock()
	s.try.mu.Lock()
	defer s.try.mu.Unlock()
	_, _ = s.try.out.Write(shown.out.(*bytes.Buffer).Bytes())
	s.try.docs = append(s.try.docs, shown.docs...)
}

// actor is both the fetcher and the source of a worker. The worker fetches from one target at a time. The actor keeps what is shown of the
// target.
type actor struct {
	sources.TargetFetcher
	source sources.Source
	stage  *stage
	first  bool // this is the first worker
	place  int  // place of the target in the latest call of Use
	shown  *try // what is shown of that target; nil before the first call of Collect
}

// Use implements sources.TargetFetcher.
func (a *actor) Use(t *sources.Target) {
	a.stage.mu.Lock()
	a.place = a.stage.place[t]
	a.stage.mu.Unlock()
	a.TargetFetcher.Use(t)
}

// Fetch implements sources.Fetcher.
func (a *actor) Fetch(ctx context.Context, tick sources.Tick, r sources.Request) (*sources.Document, error) {
	doc, err := a.TargetFetcher.Fetch(ctx, tick, r)
	if err == nil {
		a.shown.document(doc)
	}
	return doc, err
}

// Unwrap returns the wrapped fetcher.
func (a *actor) Unwrap() sources.Fetcher { return a.TargetFetcher }

// show shows a line from the source. A source can also show lines while it is made, such as those that the top level of a script prints.
// They belong to no target, and are the same for each worker, so only those of the first worker are shown.
func (a *actor) show(section, line string) {
	switch {
	case a.shown != nil:
		a.shown.show(section, line)
	case a.first:
		a.stage.try.show(section, line)
	}
}

// Collect implements sources.Source.
func (a *actor) Collect(ctx context.Context, tick sources.Tick) (metric.Readings, error) {
	all := a.stage.try
	shown := &try{App: all.App, out: &bytes.Buffer{}, whole: all.whole, only: all.only, plan: all.plan}
	a.shown = shown
	defer a.stage.leave(a.place, shown)
	if shown.only == "" {
		ctx = httpclient.WithObserver(ctx, shown.exchange)
	}
	return a.source.Collect(ctx, tick)
}
