package ledger

import (
	"fmt"
	"io"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// Holding is a summary of the state of one metric.
type Holding struct {
	Metric   string    `json:"metric"`
	Type     string    `json:"type"`
	Series   int       `json:"series"`
	Events   int       `json:"event_ids"`
	Measured time.Time `json:"measured"` // when the metric was last measured
}

// Holdings returns a summary of the state of every metric. This includes inherited state that is not used yet.
func (l *Ledger) Holdings() []Holding {
	var all []Holding
	for _, t := range l.held() {
		h := Holding{Metric: t.desc.Name, Type: t.desc.Type.String(), Series: shown(t), Measured: t.measured}
		if t.events != nil {
			h.Events = len(t.events.known)
		}
		all = append(all, h)
	}
	return all
}

// shown returns the number of series that are not gone (see entry).
func shown(t *table) (n int) {
	for i := range t.entries {
		if !t.entries[i].gone {
			n++
		}
	}
	return n
}

// Dump writes the state as text: one line per series, and for each metric with event IDs a line with their number.
func (l *Ledger) Dump(w io.Writer) {
	tables := l.held()
	if len(tables) == 0 {
		fmt.Fprintln(w, "(empty)")
	}
	for _, t := range tables {
		for i := range t.entries {
			dumpEntry(w, t.desc, &t.entries[i])
		}
		if t.events != nil {
			fmt.Fprintf(w, "%s: %d event ids remembered\n", t.desc.Name, len(t.events.known))
		}
	}
}

func dumpEntry(w io.Writer, d *metric.Desc, e *entry) {
	fmt.Fprintf(w, "%s%s ", d.Name, e.labels)
	switch {
	case e.observed != nil && e.observed.histogram != nil:
		fmt.Fprintf(w, "count %d sum %v", e.observed.histogram.Count, e.observed.histogram.Sum)
	case e.observed != nil:
		fmt.Fprintf(w, "count %d sum %v", e.observed.summary.Count, e.observed.summary.Sum)
	case e.hidden:
		fmt.Fprintf(w, "no change known yet, upstream %v", e.upstream)
	case e.upstream != 0 && !d.Delta:
		fmt.Fprintf(w, "%v, at the last reset %v", e.value, e.upstream)
	case d.Delta:
		fmt.Fprintf(w, "%v, upstream %v", e.value, e.upstream)
	default:
		fmt.Fprintf(w, "%v", e.value)
	}
	if d.Delta && d.Observes() {
		fmt.Fprintf(w, ", upstream %v", e.upstream)
	}
	if e.gone {
		fmt.Fprint(w, ", gone,")
	}
	if e.time != 0 {
		fmt.Fprintf(w, " at %s", time.UnixMilli(e.time).UTC().Format(time.RFC3339))
	}
	if e.start != 0 {
		fmt.Fprintf(w, " since %s", time.UnixMilli(e.start).UTC().Format(time.RFC3339))
	}
	fmt.Fprintln(w)
}
