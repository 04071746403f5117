package remotewrite

import "github.com/collectington/collectington/agent/metric"

// unitKey knows a family's series again from batch to batch.
type unitKey struct {
	desc   *metric.Desc
	labels *metric.LabelSet
}

// unit is a family's series as it is pushed: one series, or all the parts of a histogram or summary.
type unit struct {
	key     unitKey
	parts   []*series // nil = relabelling leaves the part out, or it is invalid
	invalid int32     // parts whose labels no receiver may be sent
	shard   int32
	batch   uint32 // that had it last
	place   int32  // in that batch
	tick    stretch
	told    int64 // the time of its last sample, sent or not newer, if that was its own; else 0
}

// newUnit makes one of n parts. Most have one, which is allocated with it.
func newUnit(n int) *unit {
	if n != 1 {
		return &unit{parts: make([]*series, n)}
	}
	u := &struct {
		unit
		part [1]*series
	}{}
	u.parts = u.part[:]
	return &u.unit
}

// sent is how many of its parts are sent.
func (u *unit) sent() (n int) {
	for _, p := range u.parts {
		if p != nil {
			n++
		}
	}
	return n
}

// first is the first part that is sent, nil where there is none.
func (u *unit) first() *series {
	for _, p := range u.parts {
		if p != nil {
			return p
		}
	}
	return nil
}
