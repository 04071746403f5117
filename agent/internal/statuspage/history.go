package statuspage

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources"
)

// Bounds of what is remembered.
const (
	maxRuns     = 60  // of a job
	maxRequests = 20  // of a job or a sink
	maxProblems = 20  // of a run
	maxText     = 400 // bytes of a text from outside
	maxSamples  = 120 // of a sink: one hour
)

// sampleEvery is the interval between two samples of a sink.
const sampleEvery = 30 * time.Second

// lookedFor is how long a job counts as looked at since the last request for its page. Only then its series have a past.
const lookedFor = time.Hour

// History is what has happened in the last runs of jobs and in the last hour of sinks. It is bounded, and costs little while nobody
// looks at the page. It is safe for concurrent use.
type History struct {
	now func() time.Time

	looked atomic.Bool // somebody has looked at a job

	mu      sync.Mutex
	watch   []config.Selector // what web.watch names
	jobs    map[string]*jobHistory
	sinks   map[string]*sinkHistory
	changed chan struct{} // closed at the next change; nil if nobody waits
}

// NewHistory returns an empty history.
func NewHistory() *History {
	return &History{now: time.Now, jobs: map[string]*jobHistory{}, sinks: map[string]*sinkHistory{}}
}

// jobHistory is what is remembered of a job.
type jobHistory struct {
	runs     ring[ranOnce]
	requests ring[asked]
	err      *string  // of the last failed run
	problems []string // of the last run that has measured something
	failing  int64    // when the first of the last runs began that all failed, or all were partial; Unix milliseconds, 0 = the last was good
	result   string   // of the last run that was not skipped
	window   sources.Tick

	named  []*named
	looked time.Time // when its page was last requested
	follow follow
	doc    *excerpt
}

// ranOnce is a run. It is small, since every job has many.
type ranOnce struct {
	start            int64 // Unix milliseconds
	took, waited     int32 // milliseconds
	readings, series int32
	result           uint8   // in results
	err              *string // nil = none; runs with the same error share it
}

// asked is a request and its outcome.
type asked struct {
	at          int64 // when it ended, Unix milliseconds
	method, url string
	code        int16 // 0 = no response
	cached      bool  // nothing was sent
	unchanged   bool  // 304
	took        int32 // milliseconds
	waited      int32 // milliseconds
	bytes       int64
	err         string
}

// sinkHistory is what is remembered of a sink.
type sinkHistory struct {
	samples  ring[sinkSample]
	requests ring[asked]
	failing  int64 // when the first of the last requests ended that all failed, Unix milliseconds; 0 = the last was good
}

// sinkSample is the state of a sink at a time.
type sinkSample struct {
	at, sent, pending, bytes, dropped int64
}

func (h *History) job(name string) *jobHistory {
	j := h.jobs[name]
	if j == nil {
		j = &jobHistory{}
		h.jobs[name] = j
	}
	return j
}

func (h *History) sink(name string) *sinkHistory {
	s := h.sinks[name]
	if s == nil {
		s = &sinkHistory{}
		h.sinks[name] = s
	}
	return s
}

// Ran implements run.Observer.
func (h *History) Ran(e run.Ended) {
	all := results()
	one := ranOnce{
		start: e.Start.UnixMilli(), took: int32(e.Took.Milliseconds()), waited: int32(e.Waited.Milliseconds()), readings: int32(e.Readings), series: int32(e.Series),
		result: uint8(slices.IndexFunc(all[:], func(r result) bool { return r.name == e.Result })),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.job(e.Job)
	if e.Error != "" {
		one.err = j.shared(text.Cut(e.Error, maxText))
	}
	j.runs.add(one, maxRuns)
	switch {
	case e.Result == run.Skipped:
	case e.Result == run.Succeeded:
		j.failing, j.result = 0, e.Result
	case e.Result != j.result:
		j.failing, j.result = one.start, e.Result
	}
	if e.Result == run.Succeeded || e.Result == run.Partial {
		j.window = e.Window
		j.problems = bounded(e.Problems)
		j.follow.tick(e.Families, e.Start, h.isLookedAt(j))
		h.noteNamed(e.Job, e.Families, one.start)
	}
	h.signal()
}

// shared returns an error's text, which is that of the last failed run if it is the same.
func (j *jobHistory) shared(err string) *string {
	if j.err == nil || *j.err != err {
		j.err = &err
	}
	return j.err
}

// bounded returns the first lines of a list, cut.
func bounded(lines []string) []string {
	var all []string
	for _, line := range lines[:min(len(lines), maxProblems)] {
		all = append(all, text.Cut(line, maxText))
	}
	return all
}

// JobRequested notes a request of a job.
func (h *History) JobRequested(job string, x httpclient.Exchange) {
	one := h.asked(x)
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.job(job)
	remember(&j.requests, one)
}

// SinkRequested notes a request of a sink.
func (h *History) SinkRequested(sink string, x httpclient.Exchange) {
	one := h.asked(x)
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sink(sink)
	remember(&s.requests, one)
	switch {
	case !one.failed():
		s.failing = 0
	case s.failing == 0:
		s.failing = one.at
	}
}

func (h *History) asked(x httpclient.Exchange) asked {
	one := asked{
		at: h.now().UnixMilli(), method: x.Method, url: text.Cut(x.URL, maxText), code: int16(x.Code),
		cached: x.Unsent, unchanged: x.Revalidated, took: int32(x.Took.Milliseconds()), waited: int32(x.Waited.Milliseconds()), bytes: x.Bytes,
	}
	if x.Err != nil {
		one.err = text.Cut(text.OneLine(x.Err.Error()), maxText)
	}
	return one
}

// remember adds a request. Requests of one address in a row share its text.
func remember(r *ring[asked], one asked) {
	if r.len() > 0 && r.back(0).url == one.url {
		one.url = r.back(0).url
	}
	r.add(one, maxRequests)
}

// Run samples the sinks until ctx ends.
func (h *History) Run(ctx context.Context, state func() run.State) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		h.sample(state())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sample notes the state of the sinks, and forgets jobs and sinks that are gone.
func (h *History) sample(s run.State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.now().UnixMilli()
	known := map[string]bool{}
	for i := range s.Jobs {
		known[s.Jobs[i].Name] = true
	}
	for name, j := range h.jobs {
		if !known[name] {
			delete(h.jobs, name)
		} else if h.now().Sub(j.looked) >= lookedFor {
			j.follow, j.doc = follow{}, nil
		}
	}
	clear(known)
	for i := range s.Sinks {
		state := &s.Sinks[i]
		known[state.Name] = true
		sink := h.sink(state.Name)
		sink.samples.add(sinkSample{at, state.Sent, state.Pending.Samples, state.Pending.Bytes, sum(state.Dropped)}, maxSamples)
	}
	for name := range h.sinks {
		if !known[name] {
			delete(h.sinks, name)
		}
	}
	h.signal()
}

func sum(counts map[metric.Reason]int64) (total int64) {
	for _, n := range counts {
		total += n
	}
	return total
}

// Changed returns a channel that is closed when something has happened.
func (h *History) Changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	return h.changed
}

// signal wakes those who wait for a change.
func (h *History) signal() {
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// look notes that somebody looks at a job, so that its series and its document are kept from the next run on.
func (h *History) look(job string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.job(job).looked = h.now()
	h.looked.Store(true)
}

// lookedAt reports whether somebody looks at a job.
func (h *History) lookedAt(job string) bool {
	if !h.looked.Load() {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.jobs[job]
	return j != nil && h.isLookedAt(j)
}

func (h *History) isLookedAt(j *jobHistory) bool {
	return !j.looked.IsZero() && h.now().Sub(j.looked) < lookedFor
}
