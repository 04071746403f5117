package ledger

import (
	"maps"
	"slices"
	"time"
)

// Holding is what a ledger holds of one metric.
type Holding struct {
	Metric   string    `json:"metric"`
	Type     string    `json:"type"`
	Series   int       `json:"series"`
	Events   int       `json:"event_ids"` // remembered
	Measured time.Time `json:"measured"`  // when a tick last measured it
}

// Holdings is what the ledger holds, what it was handed and has not come to use included.
func (l *Ledger) Holdings() []Holding {
	var all []Holding
	for _, t := range l.held() {
		h := Holding{Metric: t.desc.Name, Type: t.desc.Type.String(), Series: t.shown(), Measured: t.measured}
		if t.events != nil {
			h.Events = len(t.events.known)
		}
		all = append(all, h)
	}
	return all
}

// shown is how many series of the table are not gone.
func (t *table) shown() (n int) {
	for i := range t.entries {
		if !t.entries[i].gone {
			n++
		}
	}
	return n
}

// held is what Apply has used, and then, by name, what it has not.
func (l *Ledger) held() []*table {
	all := slices.Clone(l.order)
	for _, name := range slices.Sorted(maps.Keys(l.heirs)) {
		all = append(all, l.heirs[name])
	}
	return all
}
