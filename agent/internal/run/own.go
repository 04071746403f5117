package run

import (
	"context"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/metric"
)

// JobLabel and SinkLabel are the labels of the agent's own metrics that name a job or a sink. A job's name is not in the label "job",
// because a scrape or a push would overwrite that label.
const (
	JobLabel  = "cton_job"
	SinkLabel = "sink"
)

// AllJobs is the metric that has the number of jobs of all shards. Only sinks that get all jobs get it.
const AllJobs = "cton_shards_jobs"

// OwnMetrics say when and where the agent's own metrics are delivered.
type OwnMetrics struct {
	Interval time.Duration // longest time between deliveries to sinks that push; 0 = two minutes

	// Sinks are the sinks that get all own metrics. If Sinks is nil, each sink gets the metrics about its jobs, about itself and about the
	// agent.
	Sinks []string

	Partial []string // sinks that do not get all jobs of other shards
}

// Intervals at which the agent's own metrics are delivered.
const (
	ownInterval  = 2 * time.Minute  // default interval for sinks that push
	pageInterval = 15 * time.Second // for sinks that are scraped: an update causes no traffic; also the longest time until a jump of the clock is noticed
	ownPause     = time.Second      // shortest time between two deliveries
)

func (o *OwnMetrics) interval() time.Duration {
	if o.Interval == 0 {
		return ownInterval
	}
	return o.Interval
}

// goTo reports whether a sink gets any of the agent's own metrics.
func (o *OwnMetrics) goTo(sink string) bool { return o.Sinks == nil || slices.Contains(o.Sinks, sink) }

// own computes and delivers the agent's own metrics.
type own struct {
	agent   *Agent
	compute func(State) metric.Readings
	ledger  *ledger.Ledger
	last    time.Time     // time of the last batch
	time    timekeeper    // notices jumps of the clock, so that the times in the fields "last", "ledger" and "starts" can be adjusted
	starts  starts        // start timestamps of the own counters
	due     chan struct{} // holds a token if the metrics should be delivered soon
	partBy  string        // PartBy of the batches
	totals  totals        // counters of earlier processes that ran each job once
}

func newOwn(a *Agent, compute func(State) metric.Readings, c *clock.Clock) *own {
	return &own{
		agent: a, compute: compute, ledger: ledger.New(ledger.For(time.Minute), 1<<20), time: newTimekeeper(c),
		starts: starts{last: c.Now()}, due: make(chan struct{}, 1),
	}
}

// run delivers the metrics at the start, then at regular intervals, and soon after a change.
func (o *own) run(ctx context.Context) {
	pushed := time.Now()
	o.deliver(true)
	for {
		until := pushed.Add(o.interval())
		page := time.After(min(pageInterval, time.Until(until)))
		select {
		case <-ctx.Done():
			return
		case <-time.After(ownPause):
		}
		all := false
		select {
		case <-ctx.Done():
			return
		case <-o.due:
			all = true
		case <-page:
		}
		// A reload may have changed the interval.
		now := time.Now()
		if all = all || now.Sub(pushed) >= o.interval(); all {
			pushed = now
		}
		o.deliver(all)
	}
}

func (o *own) interval() time.Duration {
	o.agent.mu.Lock()
	defer o.agent.mu.Unlock()
	return o.agent.ownMetrics.interval()
}

// deliver delivers the metrics. If the argument "all" is false, only sinks that wait to be scraped get them. No two batches have the same
// time.
func (o *own) deliver(all bool) {
	a := o.agent
	reading, by := o.time.read()
	now := reading.Wall
	if by != 0 {
		a.log.Error("the clock has jumped: samples now have the new time, and intervals are not affected",
			"by", by.Round(time.Millisecond).String(), "now", now.UTC().Format(time.RFC3339), "jumps", reading.Jumps)
		move(&o.last, by)
		move(&o.starts.last, by)
		o.ledger.Shift(by, true)
		all = true
	}
	if !all && !o.isPulled() {
		return
	}
	if earliest := o.last.Add(time.Millisecond); now.Before(earliest) {
		now = earliest
	}
	o.last = now
	state := a.State()
	readings := o.compute(state)
	o.totals.add(readings, state.Jobs)
	result, err := o.ledger.Apply(now, readings)
	if err != nil {
		a.log.Error("the agent's own metrics cannot be computed", "error", err)
		return
	}
	begun := o.totals.start(result.Families, now)
	o.starts.set(result.Families, now)
	if a.single && a.state != nil && !a.keepTotals(&o.totals, result.Families) {
		begun = nil
		result.Families = slices.DeleteFunc(result.Families, func(f metric.Family) bool { return f.Desc.Type == metric.Counter })
	}
	b := metric.Batch{Job: Self, Time: now, Families: result.Families, PartBy: o.partBy}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inOrder(&b)
	for _, s := range a.sinks {
		if a.ownMetrics.goTo(s.Name) && (all || s.Pull) {
			if len(begun) > 0 { // an earlier process has sent the zeros at the start of these counters
				s.repeat(metric.Batch{Job: Self, Time: now, Known: a.ownPart(begun, s.Name), PartBy: o.partBy})
			}
			part := b
			part.Families = a.ownPart(b.Families, s.Name)
			s.add(part)
		}
	}
}

// isPulled reports whether the metrics go to a sink that waits to be scraped.
func (o *own) isPulled() bool {
	a := o.agent
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.sinks, func(s *sink) bool { return s.Pull && a.ownMetrics.goTo(s.Name) })
}

// changed causes a delivery of the metrics soon. It is called when a job goes up or down, and when a reload has ended.
func (o *own) changed() {
	select {
	case o.due <- struct{}{}:
	default:
	}
}

// endOwn ends the series of the agent's own metrics in running sinks that will no longer get them. The caller holds mu.
func (a *Agent) endOwn(next *OwnMetrics) {
	for _, s := range a.sinks {
		if a.ownMetrics.goTo(s.Name) && !next.goTo(s.Name) {
			s.add(metric.Batch{Job: Self, Time: a.clock.Now()})
		}
	}
}

// ownPart returns the part of the agent's own metrics for one sink. Series that name a job which the sink does not get, or another sink,
// are left out. A sink gets everything if it gets all jobs, or if the configuration names it in Sinks. The caller holds mu.
func (a *Agent) ownPart(families []metric.Family, sink string) []metric.Family {
	foreign := func(j *job) bool { return !j.GoesTo(sink) }
	if a.ownMetrics.Sinks != nil || !slices.ContainsFunc(a.jobs, foreign) && !slices.Contains(a.ownMetrics.Partial, sink) {
		return families
	}
	jobs := map[string]bool{"": true} // names of the jobs that the sink gets; "" for series without a job
	for _, j := range a.jobs {
		if !foreign(j) {
			jobs[j.Name] = true
		}
	}
	mine := func(s metric.Series) bool {
		ofSink := s.Labels.Get(SinkLabel)
		return jobs[s.Labels.Get(JobLabel)] && (ofSink == "" || ofSink == sink)
	}
	var part []metric.Family
	for _, f := range families {
		kept := slices.DeleteFunc(slices.Clone(f.Series), func(s metric.Series) bool { return !mine(s) })
		if len(kept) > 0 && f.Desc.Name != AllJobs {
			f.Series = kept
			part = append(part, f)
		}
	}
	return part
}
