package scrape

import (
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
)

// identity is what a line turns out to be.
type identity struct {
	name  string // of the series
	typ   metric.Type
	kind  kind
	bound float64
}

// meta finds what the page has said of a series' family: that of the series' own name, or of the name without one of the
// suffixes that the family's type has.
func (t *target) meta(name string) (m *meta, suffix string) {
	if m := t.metas[name]; m != nil {
		return m, ""
	}
	at := strings.LastIndexByte(name, '_')
	if at < 0 {
		return nil, ""
	}
	if m = t.metas[name[:at]]; m == nil || !slices.Contains(suffixes(m.typ), name[at:]) {
		return nil, ""
	}
	return m, name[at:]
}

// suffixes are those of OpenMetrics 1.0, section "Suffixes".
func suffixes(t model.MetricType) []string {
	switch t {
	case model.MetricTypeCounter:
		return []string{"_total", "_created"}
	case model.MetricTypeHistogram:
		return []string{"_bucket", "_sum", "_count", "_created"}
	case model.MetricTypeSummary:
		return []string{"_sum", "_count", "_created"}
	case model.MetricTypeGaugeHistogram:
		return []string{"_bucket", "_gsum", "_gcount", "_sum", "_count"}
	case model.MetricTypeInfo:
		return []string{"_info"}
	}
	return nil
}

// of is the identity of a series of a family of this type, in which it has this suffix. A part that relabelling has made
// something else is a number by itself.
func (id identity) of(t model.MetricType, suffix string, final labels.Labels) identity {
	alone := id
	base, found := strings.CutSuffix(id.name, suffix)
	switch t {
	case model.MetricTypeGauge, model.MetricTypeInfo, model.MetricTypeStateset, model.MetricTypeGaugeHistogram:
		id.typ = metric.Gauge
		return id
	case model.MetricTypeCounter:
		id.typ = metric.Counter
		if suffix != "_created" {
			return id
		}
		base += "_total"
	case model.MetricTypeHistogram:
		id.typ = metric.Histogram
	case model.MetricTypeSummary:
		id.typ = metric.Summary
	default:
		return id
	}
	own := boundLabel(id.typ)
	bound, isBound := 0.0, final.Has(own)
	if isBound {
		var err error
		bound, err = strconv.ParseFloat(final.Get(own), 64)
		isBound = err == nil && bound == bound
	}
	id.name, id.bound = base, bound
	switch isPart := suffix == "_bucket" || id.typ == metric.Summary && suffix == ""; {
	case !found:
		return alone
	case isPart && isBound:
		id.kind = bucket
	case isPart || final.Has(own):
		return alone
	case suffix == "_count":
		id.kind = count
	case suffix == "_sum":
		id.kind = sum
	case suffix == "_created":
		id.kind = created
	default:
		return alone
	}
	return id
}

// boundLabel is the label that the parts of a series are told apart by.
func boundLabel(t metric.Type) string {
	switch t {
	case metric.Histogram:
		return model.BucketLabel
	case metric.Summary:
		return model.QuantileLabel
	}
	return ""
}
