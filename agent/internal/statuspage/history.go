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
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources"
)

// Limits of what a History keeps.
const (
	maxRuns     = 60  // runs of a job
	maxRequests = 20  // requests of a job or a sink
	maxProblems = 20  // problems of a run
	maxText     = 400 // bytes of a text from outside
	maxSamples  = 120 // samples of a sink: one hour
)

// sampleEvery is the interval between two samples of a sink.
const sampleEvery = 30 * time.Second

// lookedFor is how long a job counts as viewed after the last request for its page. Past values of series are kept only for viewed
// jobs.
const lookedFor = time.Hour

// History records the last runs of jobs and the last hour of sinks. Its size is limited, and it costs little while no client views
// the page. It is safe for concurrent use.
type History struct {
	now func() time.Time

	looked atomic.Bool // a client has viewed the page of a job since the start

	mu      sync.Mutex
	watch   []config.Selector // the selectors of web.watch
	jobs    map[string]*jobHistory
	sinks   map[string]*sinkHistory
	changed chan struct{} // is closed at the next change; nil if no goroutine waits
}

// NewHistory returns an empty history.
func NewHistory() *History {
	return &History{now: time.Now, jobs: map[string]*jobHistory{}, sinks: map[string]*sinkHistory{}}
}

// jobHistory is the history of a job.
type jobHistory struct {
	runs     ring[ranOnce]
	requests ring[asked]
	err      *string  // error of the last failed run
	problems []string // problems of the last run that measured something
	warnings []string // the problems with metrics that were measured, but are probably wrong
	failing  int64    // Unix milliseconds; when the current row of failed runs, or of partial runs, began; 0 = the last run succeeded
	result   string   // result of the last run that was not skipped
	window   sources.Tick

	named  []*named
	looked time.Time // when its page was last requested
	follow follow
	doc    *excerpt // beginning of the last document; nil = none
}

// ranOnce is a run. The struct is small, because there are many for every job.
type ranOnce struct {
	start            int64 // Unix milliseconds
	took, waited     int32 // milliseconds
	readings, series int32
	result           uint8   // index in results
	err              *string // nil = no error; runs in a row with the same error share the string
}

// asked is a request and its outcome.
type asked struct {
	at          int64 // when it ended, Unix milliseconds
	method, url string
	code        int16 // 0 = no response
	cached      bool  // nothing was sent
	unchanged   bool  // the status was 304
	took        int32 // milliseconds
	waited      int32 // milliseconds
	bytes       int64
	err         string
}

// sinkHistory is the history of a sink.
type sinkHistory struct {
	samples  ring[sinkSample]
	requests ring[asked]
	failing  int64 // Unix milliseconds; when the first request of the current row of failed requests ended; 0 = the last request succeeded
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
		j.problems, j.warnings = bounded(e.Problems), bounded(e.Warnings)
		j.follow.tick(e.Families, e.Start, h.isLookedAt(j))
		h.noteNamed(e.Job, e.Families, one.start)
	}
	h.signal()
}

// shared returns a pointer to the text of an error. If the last failed run had the same error, it returns the pointer of that run, to
// save memory.
func (j *jobHistory) shared(err string) *string {
	if j.err == nil || *j.err != err {
		j.err = &err
	}
	return j.err
}

// bounded returns the first maxProblems lines of a list, each cut to maxText bytes.
func bounded(lines []string) []string {
	var all []string
	for _, line := range lines[:min(len(lines), maxProblems)] {
		all = append(all, text.Cut(line, maxText))
	}
	return all
}

// JobRequested records a request of a job.
func (h *History) JobRequested(job string, x httpclient.Exchange) {
	one := h.asked(x)
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.job(job)
	remember(&j.requests, one)
}

// SinkRequested records a request of a sink.
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

// remember adds a request. Consecutive requests to the same URL share the string, to save memory.
func remember(r *ring[asked], one asked) {
	if r.len() > 0 && r.back(0).url == one.url {
		one.url = r.back(0).url
	}
	r.add(one, maxRequests)
}

// Run records the state of the sinks at regular intervals until ctx ends.
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

// sample records the state of the sinks, and deletes the history of jobs and sinks that no longer exist.
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

func sum[K comparable](counts map[K]int64) (total int64) {
	for _, n := range counts {
		total += n
	}
	return total
}

// Changed returns a channel that is closed at the next change of the history.
func (h *History) Changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	return h.changed
}

// signal wakes the goroutines that wait for a change.
func (h *History) signal() {
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// look records that a client views the page of a job. From the next run on, past values of its series and an excerpt of its document
// are kept.
func (h *History) look(job string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.job(job).looked = h.now()
	h.looked.Store(true)
}

// lookedAt reports whether the page of a job was requested within the last lookedFor.
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
