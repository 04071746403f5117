package statuspage

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sinks"
)

// Agent is the agent that the page shows and controls. *run.Agent implements it.
type Agent interface {
	State() run.State
	Plan() run.Plan
	Latest(job string) (metric.Batch, bool)
	Ready() error
	RunNow(job string) bool
	Pause(job string, paused bool) bool
}

// Options configures a page.
type Options struct {
	Agent   Agent
	History *History
	Version string
	Started time.Time
	Scrub   func(string) string                     // removes secrets
	Logins  func() map[string]httpclient.LoginState // returns the states of logins by name; nil = there are no logins
	Reload  func()                                  // reloads the configuration
	Log     func(action string, args ...any)        // logs an action
	Actions bool                                    // POST requests are allowed
	Profile bool                                    // /debug/pprof is served
}

// maxStrips is the maximum number of runs in one answer, of all jobs together. As an exception, 8 runs of each job are always shown.
const maxStrips = 4500

// maxWrong is the maximum number of problems in one answer.
const maxWrong = 30

// Times that decide about states and rates.
const (
	overdueAfter = time.Minute     // a job is overdue this long after its run was due
	behindAfter  = 2 * time.Minute // a sink is behind if its oldest waiting sample is older than this
	rateOver     = 5 * time.Minute // the rate of a sink is the average over this time
)

// fresh is the maximum age of a status that answers a request. Requests within this time share one status, so that many requests
// cost little.
const fresh = 500 * time.Millisecond

// status returns the whole state, without secrets, as it was at the time "since" or later. Requests share the result, so the caller must
// not change it.
func (p *Page) status(since time.Time) *Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.latest == nil || p.made.Before(since) {
		p.made = p.History.now()
		s := p.build()
		scrub(s, p.Scrub)
		p.latest = s
	}
	return p.latest
}

// build returns the current state, still with secrets.
func (p *Page) build() *Status {
	state, plan, now := p.Agent.State(), p.Agent.Plan(), p.History.now()
	s := &Status{
		Version: p.Version, Now: now.UTC(), Started: p.Started.UTC(), Ready: true, Actions: p.Actions, ClockJumps: state.ClockJumps,
		Configuration: Configuration{Loaded: utc(state.Reloaded), OK: state.ReloadGood || state.Reloaded.IsZero(), Error: state.ReloadBad},
		Problems:      []Problem{}, Jobs: make([]Job, 0, len(state.Jobs)), Sinks: make([]Sink, 0, len(state.Sinks)),
	}
	if err := p.Agent.Ready(); err != nil {
		s.Ready, s.Unready = false, err.Error()
	}
	if f := state.File; f != nil {
		s.StateFile = &StateFile{Written: utc(f.Written), Failed: f.Failed, Bytes: f.Bytes, Error: f.Error}
	}
	if l := state.Lease; l != nil {
		s.Lease = &Lease{Name: l.Name, Active: l.Active, Holder: text.OneLine(l.Holder), Error: l.Error, Away: l.Away}
	}
	s.Watched = p.watched(state.Jobs)
	p.History.mu.Lock()
	strip := maxRuns
	if n := len(state.Jobs); n > 0 {
		strip = min(maxRuns, max(8, maxStrips/n))
	}
	for i := range state.Jobs {
		j := jobOf(&state.Jobs[i], p.History.jobs[state.Jobs[i].Name], strip, now)
		if i < len(plan.Jobs) && plan.Jobs[i].Name == j.Name {
			j.Schedule = scheduleInWords(&plan.Jobs[i].Job)
		}
		s.Jobs = append(s.Jobs, j)
	}
	for i := range state.Sinks {
		sink := sinkOf(&state.Sinks[i], p.History.sinks[state.Sinks[i].Name], now)
		if i < len(plan.Sinks) && plan.Sinks[i].Name == sink.Name {
			sink.Kind = plan.Sinks[i].Kind
		}
		s.Sinks = append(s.Sinks, sink)
	}
	p.History.mu.Unlock()
	for i := range s.Jobs {
		if j := &s.Jobs[i]; j.State != JobOK {
			b, _ := p.Agent.Latest(j.Name)
			j.Series = b.Series() // they may have expired
		}
	}
	for i := range s.Sinks { // without the lock: a sink may read a file or wait for a lock of its own
		if i < len(plan.Sinks) && plan.Sinks[i].Name == s.Sinks[i].Name {
			s.Sinks[i].Facts = factsOf(&plan.Sinks[i])
			s.Sinks[i].Refusal = firstRefusal(refusals(plan.Sinks[i].Stats))
		}
	}
	s.Logins = p.logins()
	s.Problems = append(s.Problems, problems(s)...)
	if more := len(s.Problems) - maxWrong; more > 0 {
		s.Problems, s.More = s.Problems[:maxWrong], more
	}
	slices.SortStableFunc(s.Jobs, func(a, b Job) int { return cmp.Compare(rank(a.State), rank(b.State)) })
	return s
}

// utc returns a time in UTC. It returns the zero time unchanged.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// rank returns the place of a state in the list of jobs: failed jobs come first, then overdue and partial ones.
func rank(state string) int {
	switch state {
	case JobFailed:
		return 0
	case JobOverdue, JobPartial:
		return 1
	}
	return 2
}

func jobOf(s *run.JobState, h *jobHistory, strip int, now time.Time) Job {
	j := Job{
		Name: s.Name, State: stateOf(s, now), Running: s.Running, LastStart: utc(s.LastStart), LastSuccess: utc(s.LastSuccess),
		ValidUntil: utc(s.ValidUntil), NextRun: utc(s.NextRun), Duration: s.Duration.Seconds(), Readings: s.Readings, Series: s.Series, Error: s.Error, Results: s.Ticks,
		Dropped: counts(s.Drops),
	}
	if s.Windowed {
		j.Cursor = utc(s.Cursor)
	}
	if h == nil {
		return j
	}
	j.Warnings = slices.Clone(h.warnings)
	if h.failing != 0 {
		j.Since = time.UnixMilli(h.failing).UTC()
	}
	for r := range h.runs.last(strip) {
		one := Run{
			Start: time.UnixMilli(r.start).UTC(), Duration: float64(r.took) / 1000, Waited: float64(r.waited) / 1000, Result: results()[r.result].name,
			Readings: int(r.readings), Series: int(r.series),
		}
		if r.err != nil {
			one.Error = *r.err
		}
		j.Runs = append(j.Runs, one)
	}
	return j
}

// stateOf returns the state of a job.
func stateOf(s *run.JobState, now time.Time) string {
	ended := s.Ticks[run.Succeeded] + s.Ticks[run.Partial] + s.Ticks[run.Failed]
	switch {
	case s.Paused:
		return JobPaused
	case !s.Running && !s.NextRun.IsZero() && now.Sub(s.NextRun) > overdueAfter:
		return JobOverdue
	case !s.Up && (ended > 0 || s.Error != ""):
		return JobFailed
	case ended == 0:
		return JobNew
	case s.Unmeasured > 0:
		return JobPartial
	}
	return JobOK
}

// counts returns the counts that are not zero, nil if all are zero.
func counts(by map[metric.Reason]int64) map[string]int64 {
	var out map[string]int64
	for reason, n := range by {
		if n != 0 {
			if out == nil {
				out = map[string]int64{}
			}
			out[string(reason)] = n
		}
	}
	return out
}

func sinkOf(s *run.SinkState, h *sinkHistory, now time.Time) Sink {
	sink := Sink{
		Name: s.Name, State: SinkOK, Sent: s.Sent, Failed: s.Failed, Retried: s.Retried, Pending: s.Pending.Samples,
		Bytes: s.Pending.Bytes, Limit: s.Pending.Limit, Oldest: utc(s.Pending.Oldest), Dropped: counts(s.Dropped),
	}
	if f := s.Spool; f != nil && f.Why != "" {
		sink.Spool = &SpoolFault{Since: utc(f.Since), Error: text.Cut(text.OneLine(f.Why), maxText)}
	}
	if !sink.Oldest.IsZero() && now.Sub(sink.Oldest) > behindAfter {
		sink.State = SinkBehind
	}
	if h == nil {
		return sink
	}
	for one := range h.samples.last(maxSamples) {
		sink.Curve = append(sink.Curve, Sample{
			At: time.UnixMilli(one.at).UTC(), Sent: one.sent, Pending: one.pending, Bytes: one.bytes, Dropped: one.dropped,
		})
	}
	if h.requests.len() > 0 && h.requests.back(0).failed() {
		sink.State, sink.Error, sink.Since = SinkFailing, h.requests.back(0).problem(), time.UnixMilli(h.failing).UTC()
	}
	sink.pace(now)
	return sink
}

// pace sets Rate and CatchUp, from the samples of the last five minutes.
func (s *Sink) pace(now time.Time) {
	first := slices.IndexFunc(s.Curve, func(one Sample) bool { return now.Sub(one.At) <= rateOver })
	if first < 0 {
		return
	}
	from := s.Curve[first]
	took := now.Sub(from.At).Seconds()
	if took < 1 || s.Sent < from.Sent {
		return
	}
	s.Rate = float64(s.Sent-from.Sent) / took
	if less := float64(from.Pending-s.Pending) / took; s.Pending > 0 && less > 0 && now.Sub(s.Oldest) > time.Minute {
		s.CatchUp = float64(s.Pending) / less
	}
}

func (a *asked) failed() bool {
	return !a.cached && (a.err != "" || a.code/100 != 2 && a.code != 304)
}

// problem returns what went wrong with a request, as one line.
func (a *asked) problem() string {
	line := a.method + " " + a.url + ": "
	if a.err != "" {
		return line + a.err
	}
	return line + "status " + strconv.Itoa(int(a.code))
}

// requests returns requests, newest first.
func requests(r *ring[asked]) []Request {
	all := []Request{}
	for a := range r.newest() {
		all = append(all, Request{
			At: time.UnixMilli(a.at).UTC(), Method: a.method, URL: a.url, Code: int(a.code), Bytes: a.bytes,
			Duration: float64(a.took) / 1000, Waited: float64(a.waited) / 1000, Cached: a.cached, Unchanged: a.unchanged, Error: a.err,
		})
	}
	return all
}

func refusals(stats *sinks.Stats) []Refusal {
	var all []Refusal
	for _, r := range stats.Refusals() {
		all = append(all, Refusal{Samples: r.Samples, Why: text.Cut(text.OneLine(r.Why), maxText), Do: r.Do})
	}
	return all
}

func firstRefusal(all []Refusal) *Refusal {
	if len(all) == 0 {
		return nil
	}
	return &all[0]
}

func (p *Page) logins() []Login {
	if p.Logins == nil {
		return nil
	}
	var all []Login
	for name, s := range p.Logins() {
		all = append(all, Login{Name: name, Got: utc(s.Got), Expires: utc(s.Expires), Error: text.Cut(text.OneLine(s.Error), maxText)})
	}
	slices.SortFunc(all, func(a, b Login) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// factsOf returns the facts that a sink reports, such as its address.
func factsOf(s *run.Sink) []Fact {
	var all []Fact
	if describer, ok := s.Sink.(sinks.Describer); ok {
		for _, f := range describer.Describe() {
			all = append(all, Fact(f))
		}
	}
	return all
}
