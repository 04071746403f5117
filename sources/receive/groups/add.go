package groups

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// isTotal reports whether values of a type can be added up over several pushes.
func isTotal(t metric.Type) bool {
	return t == metric.Counter || t == metric.Histogram || t == metric.Summary
}

// add returns the pushed family with the values of the family "old" added to it. The family "old" is the group's family with the same name,
// or nil if the group has none. Series that were not pushed keep their values. The start timestamp of a new series is just before the push.
// Quantiles of a summary cannot be added, so the result has those of this push.
func add(old, pushed *Family) (*Family, error) {
	if !isTotal(pushed.Type) {
		return pushed, nil
	}
	before := map[string]*metric.Series{}
	shapes := map[string]*metric.Desc{}
	if old != nil && old.Type == pushed.Type {
		for _, p := range old.Parts {
			for i := range p.Series {
				text := p.Series[i].Labels.String()
				before[text], shapes[text] = &p.Series[i], p.Desc
			}
		}
	}
	sum := *pushed
	sum.Parts = make([]metric.Family, len(pushed.Parts))
	for k, p := range pushed.Parts {
		all := slices.Clone(p.Series)
		for i := range all {
			s := &all[i]
			if err := checkTotal(p.Desc, s); err != nil {
				return nil, fmt.Errorf("metric %s %s: %w", pushed.Name, s.Labels, err)
			}
			text := s.Labels.String()
			s.Start = pushed.Time.Add(-time.Millisecond).UnixMilli()
			if b := before[text]; b != nil {
				if err := addSeries(p.Desc, shapes[text], s, b); err != nil {
					return nil, fmt.Errorf("metric %s %s: %w", pushed.Name, s.Labels, err)
				}
				delete(before, text)
			}
		}
		sum.Parts[k] = metric.Family{Desc: p.Desc, Series: all}
	}
	if old != nil {
		sum.keep(old, before)
	}
	return &sum, nil
}

// checkTotal refuses values that would spoil a total. A total that has become NaN or infinite stays so. A total that falls looks like a
// counter that was reset.
func checkTotal(d *metric.Desc, s *metric.Series) error {
	switch d.Type {
	case metric.Counter:
		if !(s.Value >= 0) || math.IsInf(s.Value, 0) {
			return fmt.Errorf("is a counter with the value %v, and cannot be added up: want a number that is not negative", s.Value)
		}
	case metric.Summary:
		return checkSum(s.Summary().Sum)
	case metric.Histogram:
		return checkSum(s.Histogram().Sum)
	}
	return nil
}

// checkSum allows a negative sum, since observations can be negative.
func checkSum(sum float64) error {
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return fmt.Errorf("has the sum %v, and cannot be added up: want a number", sum)
	}
	return nil
}

// keep appends those series of the family "old" that are also in the map "rest".
func (f *Family) keep(old *Family, rest map[string]*metric.Series) {
	for _, p := range old.Parts {
		var kept []metric.Series
		for i := range p.Series {
			if rest[p.Series[i].Labels.String()] == &p.Series[i] {
				kept = append(kept, p.Series[i])
			}
		}
		if len(kept) == 0 {
			continue
		}
		part := slices.IndexFunc(f.Parts, func(own metric.Family) bool { return sameShape(own.Desc, p.Desc) })
		if part < 0 {
			f.Parts = append(f.Parts, metric.Family{Desc: p.Desc, Series: kept})
		} else {
			f.Parts[part].Series = append(f.Parts[part].Series, kept...)
		}
	}
}

// addSeries adds the value of the series "before" to the value of s. The series "before" is the earlier state of s. The start of s becomes
// that of "before".
func addSeries(d, shape *metric.Desc, s, before *metric.Series) error {
	s.Start = before.Start
	switch d.Type {
	case metric.Counter:
		s.Value += before.Value
	case metric.Summary:
		v, b := *s.Summary(), before.Summary()
		var err error
		if v.Count, err = addCounts(v.Count, b.Count); err != nil {
			return err
		}
		v.Sum += b.Sum
		s.More = &metric.More{Summary: &v}
	case metric.Histogram:
		if !slices.Equal(d.Buckets, shape.Buckets) || d.Native != shape.Native {
			return errors.New("has other buckets than before, and cannot be added up; delete the group to start again")
		}
		v, err := addHistograms(s.Histogram(), before.Histogram())
		if err != nil {
			return err
		}
		s.More = &metric.More{Histogram: v, Exemplars: s.Exemplars()}
	}
	return nil
}

func addCounts(a, b uint64) (uint64, error) {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return 0, errors.New("counts more observations than fit into 64 bits")
	}
	return sum, nil
}

// addHistograms returns the sum of two histograms. Their classic buckets must be the same.
func addHistograms(a, b *metric.HistogramValue) (sum *metric.HistogramValue, err error) {
	sum = &metric.HistogramValue{Sum: a.Sum + b.Sum, Counts: slices.Clone(a.Counts)}
	for i := range sum.Counts {
		if sum.Counts[i], err = addCounts(a.Counts[i], b.Counts[i]); err != nil {
			return nil, err
		}
	}
	if a.Native == nil {
		sum.Count, err = addCounts(a.Count, b.Count)
		return sum, err
	}
	plus := addCounts
	x, y := *a.Native, *b.Native
	if x.Fractions != y.Fractions {
		return nil, errors.New("has counts with fractions in one push and without in another, and cannot be added up")
	}
	if x.Fractions {
		plus = func(a, b uint64) (uint64, error) {
			return math.Float64bits(math.Float64frombits(a) + math.Float64frombits(b)), nil
		}
	}
	if x.ZeroThreshold != y.ZeroThreshold {
		return nil, fmt.Errorf("has the zero threshold %v, which was %v before, and cannot be added up; delete the group to start again", x.ZeroThreshold, y.ZeroThreshold)
	}
	n := &metric.NativeBuckets{Schema: min(x.Schema, y.Schema), ZeroThreshold: x.ZeroThreshold, Fractions: x.Fractions}
	var failed [4]error
	sum.Count, failed[0] = plus(a.Count, b.Count)
	n.ZeroCount, failed[1] = plus(x.ZeroCount, y.ZeroCount)
	n.Positive, failed[2] = addBuckets(coarser(x.Positive, x.Schema-n.Schema), coarser(y.Positive, y.Schema-n.Schema), plus)
	n.Negative, failed[3] = addBuckets(coarser(x.Negative, x.Schema-n.Schema), coarser(y.Negative, y.Schema-n.Schema), plus)
	sum.Native = n
	return sum, errors.Join(failed[:]...)
}

// coarser converts buckets to a schema whose number is lower by "steps". Several buckets of the result may have the same index.
func coarser(buckets []metric.NativeBucket, steps int32) []metric.NativeBucket {
	if steps == 0 {
		return buckets
	}
	all := slices.Clone(buckets)
	for i := range all {
		all[i].Index = int32((int64(all[i].Index) + 1<<steps - 1) >> steps)
	}
	return all
}

// addBuckets merges two lists of buckets. It adds the counts of buckets with the same index.
func addBuckets(a, b []metric.NativeBucket, plus func(a, b uint64) (uint64, error)) ([]metric.NativeBucket, error) {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(a, b metric.NativeBucket) int { return int(int64(a.Index) - int64(b.Index)) })
	merged := all[:0]
	for _, next := range all {
		if last := len(merged) - 1; last >= 0 && merged[last].Index == next.Index {
			sum, err := plus(merged[last].Count, next.Count)
			if err != nil {
				return nil, err
			}
			merged[last].Count = sum
			continue
		}
		merged = append(merged, next)
	}
	return merged, nil
}
