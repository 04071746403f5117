// Package exposition reads the metrics pages of exporters into series.
//
//	page ─▶ Reader   takes the values of lines that were in the last scrape, and parses the other lines
//	     ─▶ Cache    remembers the lines of one target and the series of each line
//	     ─▶ series   assembles histograms and summaries from their lines
//	     ─▶ Pool     returns the families of all targets as readings
//
// A scrape consists of [Cache.Begin], [Reader.Stream] on the body, and [Reader.Finish]. Targets may be scraped concurrently. The
// parser is that of Prometheus. It is not needed for a line that is the same as in the last scrape except for its value.
package exposition

import (
	"fmt"
	"hash/maphash"
	"log/slog"
	"runtime/debug"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/collectington/collectington/agent/metric"
)

// Options are the settings for reading pages. Fields with the name of a setting of Prometheus' scrape_config have the same meaning.
type Options struct {
	HonorLabels      bool
	HonorTimestamps  bool
	NativeHistograms bool
	ClassicToNHCB    bool   // the setting convert_classic_histograms_to_nhcb
	AlwaysClassic    bool   // the setting always_scrape_classic_histograms
	Fallback         string // fallback_scrape_protocol, as a Content-Type; "" = none
	MetricRelabel    []*relabel.Config

	// Limits for one scrape. If a limit is exceeded, the scrape fails. 0 = no limit.
	SampleLimit           int
	LabelLimit            int
	LabelNameLengthLimit  int
	LabelValueLengthLimit int

	// Gauges are the metrics about each scrape. Problems and dropped samples are reported with the readings of the first gauge. If there
	// are no gauges, they are reported with a metric that has no series. The name of that metric is Subject.
	Gauges  []Gauge
	Subject string

	Untargeted bool // series have no job and instance labels of their own

	Redact func(text string) string // removes secrets from errors that quote a page
	Log    *slog.Logger
}

// Gauge is a metric about scrapes, such as up.
type Gauge struct{ Name, Help string }

// Pool holds the series and families of all targets of a job. Lines of different targets never have the same series.
type Pool struct {
	options Options
	seed    maphash.Seed // seed of all hashes
	round   uint32       // number of calls of Begin
	now     int64        // time of samples without a timestamp, in Unix milliseconds

	mu       sync.Mutex // held while a page is parsed; guards the fields below
	families map[familyKey]*family
	first    *family // the family of the first gauge
	series   map[uint64]*series
	drops    []metric.Drop
	index    lineIndex    // lines of the target whose page is being parsed
	desc     *description // last result of share()

	// Memory that is reused.
	builder      *labels.Builder
	labelText    []byte
	readFamilies []*family
	readings     metric.Readings

	// Memory for values in batches, which is not reused.
	mores      arena[metric.More]
	histograms arena[metric.HistogramValue]
	summaries  arena[metric.SummaryValue]
	counts     arena[uint64]
	floats     arena[float64]
}

// NewPool returns a pool without targets.
func NewPool(o Options) *Pool {
	p := &Pool{
		options: o, seed: maphash.MakeSeed(),
		families: map[familyKey]*family{}, series: map[uint64]*series{},
		builder: labels.NewBuilder(labels.EmptyLabels()),
	}
	first := Gauge{Name: o.Subject}
	if len(o.Gauges) > 0 {
		first = o.Gauges[0]
	}
	p.first = p.acquire(first.key(), nil)
	return p
}

func (g Gauge) key() familyKey {
	return familyKey{description: description{name: g.Name, help: g.Help, typ: metric.Gauge}}
}

// Begin begins a round, in which every target is scraped once. The argument "now" is the time of samples without a timestamp, in Unix
// milliseconds.
func (p *Pool) Begin(now int64) {
	p.round++
	p.now, p.drops = now, p.drops[:0]
}

// NewCache adds a target. The labels are added to its series. The values of its gauges are 0.
func (p *Pool) NewCache(target labels.Labels) *Cache {
	c := &Cache{
		pool: p, labels: target, labelSet: metric.LabelSetOf(appendLabels(nil, target, "")), families: map[string]*metadata{},
	}
	for _, g := range p.options.Gauges {
		f := p.acquire(g.key(), c.labelSet)
		x := &series{description: &f.key.description, cache: c, family: f, labels: c.labelSet, single: &line{}, isGauge: true}
		x.hash = p.hash(identity{name: g.Name}, appendLabels(nil, target, ""))
		if p.series[x.hash] == nil {
			p.series[x.hash] = x
		}
		c.gauges = append(c.gauges, x)
	}
	return c
}

// Remove removes a target with its series.
func (p *Pool) Remove(c *Cache) {
	for _, l := range c.last {
		p.detach(l)
	}
	c.last = nil
	for _, x := range c.gauges {
		if p.series[x.hash] == x {
			delete(p.series, x.hash)
		}
		p.release(x.family)
	}
}

// Readings returns the series of the round, grouped by family. The result is valid until the next call. The first family is the first
// gauge, even if there is no target. The problem and the drops are reported with this family.
func (p *Pool) Readings(targets []*Cache, problem error) metric.Readings {
	p.readFamilies = p.readFamilies[:0]
	total := 0
	eachSeries(targets, func(x *series) {
		f := x.family
		if f.round != p.round {
			f.round, f.count = p.round, 0
			p.readFamilies = append(p.readFamilies, f)
		}
		f.count++
		total++
	})
	block := make([]metric.Series, total) // becomes part of the batch, so it is not reused
	for _, f := range p.readFamilies {
		f.series, block = block[:0:f.count], block[f.count:]
	}
	eachSeries(targets, func(x *series) {
		x.family.series = append(x.family.series, x.reading(p.round))
		if earlier := x.earlier(p.round); len(earlier) > 0 {
			x.family.addEarlier(x.labels, earlier)
		}
	})
	clear(p.readings)
	p.readings = append(p.readings[:0], metric.Measured{
		Desc: p.describe(p.first), Series: []metric.Series{}, Err: problem, Drops: p.drops,
	})
	for _, f := range p.readFamilies {
		if f == p.first {
			p.readings[0].Series = f.series
		} else {
			p.readings = append(p.readings, metric.Measured{Desc: p.describe(f), Series: f.series, Earlier: f.earlier})
		}
		f.series, f.earlier = nil, nil
	}
	return p.readings
}

// eachSeries calls f for each series of the round. As long as the series do not change, their order is the same in each round.
func eachSeries(targets []*Cache, f func(*series)) {
	for _, c := range targets {
		for _, x := range c.gauges {
			f(x)
		}
		for _, x := range c.shown {
			f(x)
		}
	}
}

// drop counts a sample that is dropped. It calls the function "describe" only for the first such sample of each reason.
func (p *Pool) drop(reason metric.Reason, describe func() string) {
	for i := range p.drops {
		if p.drops[i].Reason == reason {
			p.drops[i].Count++
			return
		}
	}
	p.drops = append(p.drops, metric.Drop{Reason: reason, Count: 1, First: describe()})
}

// contain calls the function "parse". If that function panics, the result is an error.
func (p *Pool) contain(parse func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			// At debug level, since a page may cause this in every run. The error itself is logged once.
			p.options.Log.Debug("panic while parsing a page", "panic", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic while parsing the page: %v: this is a bug, please report it with the page", v)
		}
	}()
	return parse()
}

// arena allocates slices as parts of one block. Memory is not reused, since it becomes part of batches.
type arena[T any] struct{ block []T }

func (a *arena[T]) alloc(n int) []T {
	if n > len(a.block) {
		a.block = make([]T, max(n, 512))
	}
	s := a.block[:n:n]
	a.block = a.block[n:]
	return s
}
