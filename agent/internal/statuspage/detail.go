package statuspage

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/collectington/collectington/agent/internal/run"
)

// job returns the state of a job with its details, without secrets, or nil if there is no job of that name.
func (p *Page) job(name string, q seriesQuery) *Job {
	state, plan, now := p.Agent.State(), p.Agent.Plan(), p.History.now()
	at := slices.IndexFunc(state.Jobs, func(j run.JobState) bool { return j.Name == name })
	of := slices.IndexFunc(plan.Jobs, func(j run.Job) bool { return j.Name == name })
	if at < 0 || of < 0 {
		return nil
	}
	p.History.look(name)
	batch, _ := p.Agent.Latest(name)
	series := p.History.seriesOf(name, batch, q)

	p.History.mu.Lock()
	h := p.History.job(name)
	j := jobOf(&state.Jobs[at], h, maxRuns, now)
	j.Schedule, j.Series = scheduleInWords(&plan.Jobs[of].Job), series.Total
	d := &JobDetail{
		Configuration: plan.Jobs[of].Shown, Sinks: []string{}, Requests: requests(&h.requests), Problems: slices.Clone(h.problems), Series: series,
	}
	if !h.window.End.IsZero() && state.Jobs[at].Windowed {
		d.Window = &Window{Start: utc(h.window.Start), End: utc(h.window.End)}
	}
	if h.doc != nil {
		d.Document = &Document{From: h.doc.from, Root: h.doc.root.clone()}
	}
	p.History.mu.Unlock()

	for i := range plan.Sinks {
		if plan.Jobs[of].GoesTo(plan.Sinks[i].Name) {
			d.Sinks = append(d.Sinks, plan.Sinks[i].Name)
		}
	}
	for host, c := range state.Jobs[at].Costs {
		if c.Left != nil {
			d.Quota = append(d.Quota, Quota{Host: host, Left: *c.Left})
		}
	}
	slices.SortFunc(d.Quota, func(a, b Quota) int { return cmp.Compare(a.Host, b.Host) })
	j.Detail = d
	scrub(&j, p.Scrub)
	return &j
}

// clone returns a deep copy. The copy can be changed, for instance to remove secrets.
func (n Node) clone() Node {
	n.Nodes = slices.Clone(n.Nodes)
	for i := range n.Nodes {
		n.Nodes[i] = n.Nodes[i].clone()
	}
	return n
}

// sink returns the state of a sink with its details, without secrets, or nil if there is no sink of that name.
func (p *Page) sink(name string) *Sink {
	state, plan, now := p.Agent.State(), p.Agent.Plan(), p.History.now()
	at := slices.IndexFunc(state.Sinks, func(s run.SinkState) bool { return s.Name == name })
	of := slices.IndexFunc(plan.Sinks, func(s run.Sink) bool { return s.Name == name })
	if at < 0 || of < 0 {
		return nil
	}
	d := &SinkDetail{Refusals: refusals(plan.Sinks[of].Stats), Jobs: []string{}, Codes: map[string]int64{}}
	p.History.mu.Lock()
	h := p.History.sink(name)
	s := sinkOf(&state.Sinks[at], h, now)
	d.Requests = requests(&h.requests)
	p.History.mu.Unlock()
	s.Kind, s.Refusal = plan.Sinks[of].Kind, firstRefusal(d.Refusals)
	for r, n := range state.Sinks[at].Requests {
		d.Codes[strconv.Itoa(r.Code)] += n
	}
	s.Facts = factsOf(&plan.Sinks[of])
	for i := range plan.Jobs {
		if plan.Jobs[i].GoesTo(name) {
			d.Jobs = append(d.Jobs, plan.Jobs[i].Name)
		}
	}
	s.Detail = d
	scrub(&s, p.Scrub)
	return &s
}

// summary returns a copy with only names, states and times, for a listener that is open to the network.
func (s *Status) summary() *Status {
	out := &Status{
		Version: s.Version, Now: s.Now, Started: s.Started, Summary: true, Ready: s.Ready, Problems: []Problem{}, More: s.More,
		Configuration: Configuration{Loaded: s.Configuration.Loaded, OK: s.Configuration.OK},
	}
	if l := s.Lease; l != nil {
		out.Lease = &Lease{Name: l.Name, Active: l.Active, Holder: l.Holder}
	}
	for _, p := range s.Problems {
		out.Problems = append(out.Problems, Problem{Level: p.Level, Kind: p.Kind, Name: p.Name, Since: p.Since})
	}
	for i := range s.Jobs {
		j := &s.Jobs[i]
		one := Job{
			Name: j.Name, State: j.State, Running: j.Running, LastStart: j.LastStart, LastSuccess: j.LastSuccess, NextRun: j.NextRun, Duration: j.Duration,
		}
		for _, r := range j.Runs {
			one.Runs = append(one.Runs, Run{Start: r.Start, Duration: r.Duration, Result: r.Result})
		}
		out.Jobs = append(out.Jobs, one)
	}
	for i := range s.Sinks {
		out.Sinks = append(out.Sinks, Sink{Name: s.Sinks[i].Name, State: s.Sinks[i].State, Oldest: s.Sinks[i].Oldest})
	}
	return out
}
