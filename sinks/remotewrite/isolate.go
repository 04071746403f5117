package remotewrite

import (
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// A receiver of 1.0 may refuse all of a request for one bad sample (Prometheus does). Then the good ones are looked for
// with so many more requests for a record, or, where that was in vain for the record before, with so few.
const (
	maxAsked      = 64
	maxAskedAgain = 3
)

// isolate takes apart a parcel that was refused, and tells whether that gives hope: it leaves out the zeros, which are
// ours; then the series that the receiver names; else it divides.
func (d *delivery) isolate(p *parcel, a answer) bool {
	if a.code != 400 && a.code != 409 && a.code != 422 || a.told || keepsRest(a.text) || p.isProbe() {
		return false
	}
	most := maxAsked
	if d.hopeless.Load() && d.good == nil {
		most = maxAskedAgain
	}
	if d.asked >= most {
		return false
	}
	q, err := p.request()
	if err != nil {
		return false
	}
	d.asked++
	if left := p.leaveZeros(q); left > 0 {
		d.leave(left)
		return true
	}
	if labels := seriesIn(a.text); labels != nil {
		left := p.keep(q, func(i *wire.Item) bool { return !slices.Equal(i.Labels, labels) })
		if left > 0 {
			d.leave(left)
			d.refusals.wholly(p, a, left, d.post.place)
			return true
		}
	}
	d.asked++
	return d.divide(p)
}

func (d *delivery) leave(samples int) {
	d.stats.Drop(sinks.Refused, samples)
	d.touched = true
}

// keepsRest tells by its text whether a receiver has kept the good samples of a request: Mimir and Cortex do.
func keepsRest(text string) bool {
	return strings.Contains(text, "err-mimir-") || strings.HasPrefix(text, "user=")
}

// leaveZeros leaves out the zeros of a 1.0 request, and tells how many there were. Only a zero and the sample that it is
// the zero of make two of one series in a request. See [sample.zero].
func (p *parcel) leaveZeros(q wire.Request) int {
	if q.Protocol != wire.V1 {
		return 0 // a receiver of 2.0 leaves them out itself
	}
	var zeros []bool
	last, zero := -1, false // of the item before
	for i, err := range q.Items() {
		if err != nil {
			return 0
		}
		if zero && i.Series == last {
			zeros[len(zeros)-1] = true
		}
		zeros = append(zeros, false)
		last = i.Series
		zero = i.Kind == wire.Sample && i.Value == 0 || i.Kind == wire.Histogram && i.Histogram.Count == 0
	}
	n := -1
	return p.keep(q, func(*wire.Item) bool {
		n++
		return !zeros[n]
	})
}

// tooLarge divides a parcel that is too large for the receiver, and remembers that it is.
func (d *delivery) tooLarge(p *parcel, a answer) bool {
	if a.code != 413 {
		return false
	}
	d.limit.exceeded(p.size(), time.Now())
	return d.divide(p)
}

// maxErrors is how many answers of 500 make a request suspect: receivers give them for a request that they cannot stand,
// and for an outage of their own.
const maxErrors = 8

// poisoned decides about an answer of 500. A suspect is divided, at once where others have been accepted, and makes way
// for the others of its record; what cannot be divided is given up as soon as others are accepted and it is not.
func (d *delivery) poisoned(p *parcel, a answer) verdict {
	now := d.accepts.Load()
	if p.errors == 0 {
		p.first = now
	}
	p.errors++
	suspect := p.errors >= maxErrors
	if suspect || p.errors > 1 && now > p.born {
		if parts := d.halves(p, 2); parts != nil {
			d.line = append(d.line[1:], parts...)
			return later
		}
	}
	if suspect && now > p.first && !p.isProbe() {
		d.refused(p, a)
		return settled
	}
	if d.good == nil || p.errors > maxErrors {
		d.outage.failed(a.code, a.error(d.post.place))
	}
	switch {
	case !suspect || p.isProbe():
	case len(d.line) > 1:
		d.line = append(d.line[1:], p)
	case d.good != nil:
		// Nothing is left to compare it with: what was accepted before is sent once more, which changes nothing.
		d.line = []*parcel{{protocol: d.good.protocol, packed: d.good.packed}, p}
	}
	return later
}
