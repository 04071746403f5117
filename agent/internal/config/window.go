package config

import (
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/agent/setting"
)

const (
	// defaultSettle allows for data that arrive late, and for clocks that are a little slow.
	defaultSettle = time.Minute
	// By default, no window is skipped after an outage that lasts no longer than defaultOutage plus the longest pause of
	// the schedule.
	defaultOutage = 24 * time.Hour
	maxLength     = 366 * 24 * time.Hour
)

// windows sets the windows of a job. The job's schedule must be valid.
func (r *reader) windows(job *Job, zone *time.Location, n *yaml.Node, path string) {
	s := job.WindowSettings
	length := time.Duration(s.Length)
	bad := func(setting, format string, args ...any) {
		r.bad(find(n, setting), join(path, setting), format, args...)
	}
	switch {
	case length == 0:
		r.missing(n, join(path, "length"), "such as 5m, 1h or 1d")
		return
	case length%time.Second != 0:
		bad("length", "want whole seconds")
		return
	case length > maxLength:
		bad("length", "want at most %s", setting.Duration(maxLength))
		return
	}
	w := schedule.NewWindows(length, zone)
	w.Settle, w.Overlap, w.MaxCatchUp = defaultSettle, time.Duration(s.Overlap), job.Schedule.LongestPause()+defaultOutage
	if s.Settle != nil {
		w.Settle = time.Duration(*s.Settle)
	}
	if s.MaxCatchUp != nil {
		w.MaxCatchUp = time.Duration(*s.MaxCatchUp)
	}
	job.Windows = w
	if job.Targeter() != nil {
		r.bad(n, path, "cannot be set for a job with targets: a target that fails would miss a window for ever. Write a job for each target")
	}
	if !job.Dated() {
		r.bad(n, path, "nothing uses the window, so that every window would get the same data: use it, as in query: "+
			"{from: \"{{ rfc3339 .Window.Start }}\"}, or use $start and $end in the expressions of each metric")
	}
	if all, _ := job.Declares(); w.Overlap > 0 {
		for _, m := range all {
			switch {
			case m.Once && m.Remember < 2*length:
				bad("overlap", "%s remembers events for %s, which is less than two windows, so it would count some events twice: set its remember to %s or more",
					m.Name, setting.Duration(m.Remember), setting.Duration(2*length))
			case !m.Once && m.Accumulates():
				bad("overlap", "the windows overlap, so %s would count some things twice: set its once_by, or remove overlap", m.Name)
			}
		}
	}
}
