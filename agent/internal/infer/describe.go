package infer

import (
	"fmt"
	"time"
)

func (p *plan) now() time.Time { return p.clock }

// maxDescribed is the maximum number of fields of a list that are described.
const maxDescribed = 12

// describe adds notes about a list and its fields.
func (l *listing) describe() {
	what := map[kindOf]string{things: "a series each", events: "events", history: "values over time: the newest counts", sums: "no name that stays: counted"}[l.kind]
	l.note("  %d items of %s: %s", l.n, l.items, what)
	shown := 0
	for _, c := range l.columns {
		if c.role == nothing || c.role == unitName || c.role == paging {
			continue
		}
		if shown++; shown > maxDescribed {
			l.note("    and more fields")
			break
		}
		l.note("    %-24s %s%s%s", c.title(), c.role, c.about(), because(c.why))
	}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", why)
}
