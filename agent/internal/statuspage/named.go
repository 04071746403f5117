package statuspage

import (
	"slices"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/metric"
)

// named is a series that web.watch selects, with its values of the last hour. The values are kept even if no client views the status
// page.
type named struct {
	key    seriesKey
	kind   metric.Type
	before float64 // value in the run before the last one
	known  bool    // whether before is set
	last   point
	past   past
}

// Watch sets the selectors of web.watch. The values of series that they select are kept from the next run on, even if the
// status page is not open anywhere. Watch forgets series that are no longer selected.
func (h *History) Watch(selectors []config.Selector) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watch = selectors
	for name, j := range h.jobs {
		j.named = slices.DeleteFunc(j.named, func(n *named) bool {
			return !slices.ContainsFunc(selectors, func(s config.Selector) bool { return n.is(name, &s) })
		})
	}
}

// is reports whether a selector selects the series of a job.
func (n *named) is(job string, s *config.Selector) bool {
	return n.key.metric == s.Metric && s.Matches(job, n.key.labels)
}

// noteNamed records values from a run: those of the series that web.watch selects. At most [config.MaxWatched] series of all jobs together
// are recorded. It forgets the job's series that the run does not have.
func (h *History) noteNamed(job string, families []metric.Family, at int64) {
	if len(h.watch) == 0 {
		return
	}
	room := config.MaxWatched
	for name, other := range h.jobs {
		if name != job {
			room -= len(other.named)
		}
	}
	j := h.job(job)
	var now []*named
	for i := range h.watch {
		s := &h.watch[i]
		for k := range families {
			f := &families[k]
			if f.Desc.Name != s.Metric {
				continue
			}
			for x := range f.Series {
				if len(now) == room {
					break
				}
				key := seriesKey{f.Desc.Name, f.Series[x].Labels}
				same := func(n *named) bool { return n.key == key }
				if !s.Matches(job, key.labels) || slices.ContainsFunc(now, same) {
					continue
				}
				n := &named{key: key, kind: f.Desc.Type}
				if i := slices.IndexFunc(j.named, same); i >= 0 {
					n = j.named[i]
					n.before, n.known = n.last.Value, true
				}
				n.last = point{at, valueOf(&f.Series[x])}
				n.past.add(at, n.last.Value)
				now = append(now, n)
			}
		}
	}
	j.named = now
}

// watched returns the series that web.watch selects, in the order of its entries. For an entry that selects no series now, it returns a
// Watched whose field Missing is set.
func (p *Page) watched(jobs []run.JobState) []Watched {
	h := p.History
	h.mu.Lock()
	watch := h.watch
	h.mu.Unlock()
	if len(watch) == 0 {
		return nil
	}
	var alive []string // the jobs whose series have not expired
	for i := range jobs {
		if b, _ := p.Agent.Latest(jobs[i].Name); b.Series() > 0 {
			alive = append(alive, jobs[i].Name)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now().UnixMilli()
	var all []Watched
	seen := map[*named]bool{} // several entries may select the same series
	for i := range watch {
		found := false
		for _, job := range alive {
			if h.jobs[job] == nil {
				continue
			}
			for _, n := range h.jobs[job].named {
				if !n.is(job, &watch[i]) {
					continue
				}
				found = true
				if !seen[n] {
					seen[n] = true
					all = append(all, n.shown(job, now))
				}
			}
		}
		if !found {
			all = append(all, Watched{Missing: watch[i].String()})
		}
	}
	return all
}

func (n *named) shown(job string, now int64) Watched {
	s := &Series{Metric: n.key.metric, Type: n.kind.String(), Labels: n.key.labels.Map(), Value: Number(n.last.Value), Points: n.past.shown(now)}
	if n.known {
		before := Number(n.before)
		s.Before = &before
	}
	return Watched{Job: job, At: time.UnixMilli(n.last.At).UTC(), Series: s}
}
