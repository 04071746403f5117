package scrape

import (
	"fmt"
	"hash/maphash"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
)

// number takes a line with a number.
func (r *reader) number() error {
	raw, own, value := r.p.Series()
	r.read(raw)
	e, err := r.entry(raw, own, false)
	if e == nil || err != nil {
		return err
	}
	e.set(value)
	isCounter := e.kind == number && e.to.typ == metric.Counter
	if isCounter || e.kind == bucket {
		r.exemplars(e)
	}
	if r.format == protobuf && (isCounter || e.kind == count) {
		e.start = r.p.StartTimestamp()
	}
	return nil
}

// set gives the entry what the line says.
func (e *entry) set(value float64) {
	e.value = value
	if e.kind == created {
		e.start = startOf(value)
	}
}

// startOf is a start in Unix milliseconds, given in seconds; 0 where it makes no sense.
func startOf(seconds float64) int64 {
	if seconds > 0 && seconds < 1e11 {
		return int64(seconds * 1000)
	}
	return 0
}

// native takes a line with a native histogram.
func (r *reader) native() error {
	raw, own, h, floats := r.p.Histogram()
	e, err := r.entry(raw, own, true)
	if e == nil || err != nil {
		return err
	}
	e.also().histogram, err = nativeValue(h, floats)
	if err != nil {
		r.drop(metric.Invalid, func() string { return fmt.Sprintf("%s%s: %v", e.to.name, e.to.labels, err) })
		return nil
	}
	r.exemplars(e)
	e.start = r.p.StartTimestamp()
	return nil
}

// entry finds what is known of a line, and opens it.
func (r *reader) entry(raw []byte, own *int64, native bool) (*entry, error) {
	hash := maphash.Bytes(r.seed, raw)
	e := r.known(hash, len(raw))
	fresh := e == nil
	if fresh {
		e = &entry{hash: hash, length: uint32(len(raw))}
	}
	if fresh || e.outdated(r.t) {
		if err := r.resolve(e, native); err != nil {
			return nil, err
		}
	}
	if fresh {
		r.index.add(e)
	}
	return r.open(e, raw, own, fresh)
}

// open opens an entry for the sample at hand. It is nil where the line is left out.
func (r *reader) open(e *entry, raw []byte, own *int64, fresh bool) (*entry, error) {
	t := r.t
	t.scraped++
	again := r.see(e)
	if e.to == nil && !e.duplicate {
		return nil, nil // relabelling leaves it out
	}
	if t.kept++; r.set.SampleLimit > 0 && t.kept > r.set.SampleLimit {
		return nil, fmt.Errorf("more samples than sample_limit (%d)", r.set.SampleLimit)
	}
	if again || e.duplicate {
		r.drop(metric.Duplicate, func() string { return printable(string(raw)) })
		return nil, nil
	}
	if fresh {
		t.added++
	}
	return r.timed(e, raw, own), nil
}

// see notes that the page has the line, and tells whether it had it before.
func (r *reader) see(e *entry) (again bool) {
	if e.seen == r.scrape {
		return true
	}
	e.seen = r.scrape
	r.t.now = append(r.t.now, e)
	return false
}

// timed opens the entry for the sample at hand, unless its time cannot be.
func (r *reader) timed(e *entry, raw []byte, own *int64) *entry {
	e.time, e.start = 0, 0
	if e.more != nil {
		e.more.exemplars, e.more.histogram = nil, nil
	}
	if own != nil && r.set.HonorTimestamps {
		if e.time = *own; e.time == 0 {
			e.time = 1 // 0 means none, and a millisecond after 1970 began is as wrong
		}
		if e.time > r.now+maxAhead {
			r.drop(metric.Future, func() string { return fmt.Sprintf("%s at %d", printable(string(raw)), e.time) })
			return nil
		}
	}
	if to := e.to; to.seen != r.scrape && e.kind != created {
		to.seen, to.got = r.scrape, 0
		r.t.shown = append(r.t.shown, to)
	}
	e.filled = r.scrape
	if e.kind != created {
		e.to.got++
	}
	return e
}

// maxExemplar is how many characters the labels of an exemplar may have (OpenMetrics 1.0, section "Exemplars").
const maxExemplar = 128

// exemplars gives the entry those of the line at hand.
func (r *reader) exemplars(e *entry) {
	x := &r.example
	for r.p.Exemplar(x) {
		one := metric.Exemplar{Value: x.Value}
		x.Labels.Range(func(l labels.Label) {
			// Copied: a label must not keep the memory of all the others.
			one.Labels = append(one.Labels, metric.Label{Name: strings.Clone(l.Name), Value: strings.Clone(l.Value)})
		})
		if x.HasTs {
			one.Time = x.Ts
		}
		length := 0
		for _, l := range one.Labels {
			length += utf8.RuneCountInString(l.Name) + utf8.RuneCountInString(l.Value)
		}
		if length > maxExemplar {
			r.drop(metric.LabelTooBig, func() string { return fmt.Sprintf("an exemplar with labels of %d characters", length) })
		} else {
			e.also().exemplars = append(e.more.exemplars, one)
		}
		*x = exemplar.Exemplar{}
	}
}
