package exposition

import (
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
)

// identity identifies the series of a line, together with the labels of the series. It also says which role the line has in the series.
type identity struct {
	name  string // name of the series
	typ   metric.Type
	role  role
	bound float64
}

// suffixes returns the suffixes that series in a family of this type may have (OpenMetrics 1.0, section "Suffixes").
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

// scrapedType returns the type of a metric whose series are passed on as gauges: info, stateset or gauge histogram. It returns 0 for any
// other type.
func scrapedType(t model.MetricType) metric.Type {
	switch t {
	case model.MetricTypeInfo:
		return metric.Info
	case model.MetricTypeStateset:
		return metric.StateSet
	case model.MetricTypeGaugeHistogram:
		return metric.GaugeHistogram
	}
	return 0
}

// inFamily returns the identity of a series in a family of this type. The argument "suffix" is the suffix that the name of the series had
// before relabelling. A line of a histogram or summary that relabelling has changed becomes a separate series.
func (id identity) inFamily(t model.MetricType, suffix string, final labels.Labels) identity {
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
	label := boundLabel(id.typ)
	bound, isBound := 0.0, final.Has(label)
	if isBound {
		var err error
		bound, err = strconv.ParseFloat(final.Get(label), 64)
		isBound = err == nil && bound == bound
	}
	id.name, id.bound = base, bound
	switch isPart := suffix == "_bucket" || id.typ == metric.Summary && suffix == ""; {
	case !found:
		return alone
	case isPart && isBound:
		id.role = roleBucket
	case isPart || final.Has(label):
		return alone
	case suffix == "_count":
		id.role = roleCount
	case suffix == "_sum":
		id.role = roleSum
	case suffix == "_created":
		id.role = roleCreated
	default:
		return alone
	}
	return id
}

// boundLabel returns the label that distinguishes the lines for buckets or quantiles.
func boundLabel(t metric.Type) string {
	switch t {
	case metric.Histogram:
		return model.BucketLabel
	case metric.Summary:
		return model.QuantileLabel
	}
	return ""
}
