package remotewrite

import (
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// maxAhead is how far in the future a sample may lie. A receiver that takes one refuses all of the series that come after,
// until that time has come; Mimir refuses what is further ahead than its creation_grace_period, 10 minutes.
const maxAhead = 10 * time.Minute

// bounds are the first and the last time that a sample may have, in Unix milliseconds.
type bounds struct{ first, last int64 }

func (s *sink) bounds(now time.Time) bounds {
	b := bounds{last: now.Add(maxAhead).UnixMilli()}
	if s.maxAge > 0 {
		b.first = now.Add(-s.maxAge).UnixMilli()
	}
	return b
}

// refuse says why a sample of this time is left out, "" where it is not.
func (b bounds) refuse(t int64) metric.Reason {
	switch {
	case t > b.last:
		return metric.Future
	case t < b.first:
		return sinks.Past
	}
	return ""
}
