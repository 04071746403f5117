package ledger

import (
	"fmt"
	"io"
	"time"
)

// Dump writes the state for people to read: a line per series, and what is known of events.
func (l *Ledger) Dump(w io.Writer) {
	tables := l.held()
	if len(tables) == 0 {
		fmt.Fprintln(w, "(empty)")
	}
	for _, t := range tables {
		for i := range t.entries {
			t.dumpEntry(w, &t.entries[i])
		}
		if t.events != nil {
			fmt.Fprintf(w, "%s: %d event ids remembered\n", t.desc.Name, len(t.events.known))
		}
	}
}

func (t *table) dumpEntry(w io.Writer, e *entry) {
	fmt.Fprintf(w, "%s%s ", t.desc.Name, e.labels)
	switch {
	case e.observed != nil && e.observed.histogram != nil:
		fmt.Fprintf(w, "count %d sum %v", e.observed.histogram.Count, e.observed.histogram.Sum)
	case e.observed != nil:
		fmt.Fprintf(w, "count %d sum %v", e.observed.summary.Count, e.observed.summary.Sum)
	case e.hidden:
		fmt.Fprintf(w, "no change known yet, upstream %v", e.upstream)
	case t.desc.Delta:
		fmt.Fprintf(w, "%v, upstream %v", e.value, e.upstream)
	default:
		fmt.Fprintf(w, "%v", e.value)
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
