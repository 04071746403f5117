package legacy

import (
	"cmp"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/internal/config"
)

// metricsOf returns the names of the metrics of all services. The result "all" is true if every service has the key
// prometheus_metrics_mapping.
func metricsOf(services object) (names []string, all bool) {
	all = true
	for _, s := range services.members {
		said := false
		for _, m := range members(s.value) {
			if m.key.Value != keyMapping {
				continue
			}
			said = true
			for _, kind := range members(m.value) {
				for _, name := range kind.value.Content {
					names = append(names, name.Value)
				}
			}
		}
		all = all && said
	}
	return names, all
}

// metrics translates the metrics of one service. The labels of the metrics are set in the service, or at the top level of the file
// for all services.
func (r *reader) metrics(service object) *yaml.Node {
	m, ok := service.get(keyMapping)
	if !ok {
		r.missing(service, keyMapping, `the metrics by type, such as {"counter": ["number_of_incidents"]}`)
		return standIn(service.at)
	}
	before := len(r.problems)
	o := r.object(m, service.path(keyMapping))
	all := &metrics{node: mapping(m.key), seen: map[string]string{}, labels: r.labels(service, r.top)}
	for _, kind := range o.members {
		known := []string{"counter", "gauge", "histogram", "summary"}
		typ := config.Closest(kind.key.Value, known)
		if typ != kind.key.Value {
			r.unknown(kind.key, o.name, "type of metrics", known)
		}
		if kind.value.Kind != yaml.SequenceNode {
			r.bad(kind.value, o.path(kind.key.Value), `want a list of metrics, such as ["number_of_incidents"]`)
			continue
		}
		for i, n := range kind.value.Content {
			r.metric(all, n, typ, fmt.Sprintf("%s.%d", o.path(kind.key.Value), i))
		}
	}
	r.checkLabels(service)
	if len(all.node.Content) == 0 && len(r.problems) > before {
		return standIn(m.key)
	}
	return all.node
}

// standIn returns the metrics of a job as a mapping with a single metric. It is used if no metric could be read. So the user sees only why
// they could not be read, and no second problem that says that the job has no metrics.
func standIn(at *yaml.Node) *yaml.Node {
	all := mapping(at)
	add(all, text(at, "x"), declaration(text(at, "x"), "gauge", nil))
	return all
}

// metrics are the metrics of one service.
type metrics struct {
	node   *yaml.Node
	seen   map[string]string     // types of the metrics read so far, by old name and by new name
	labels map[string]*yaml.Node // label names of metrics, by old name
}

func (r *reader) metric(all *metrics, n *yaml.Node, typ, path string) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		r.bad(n, path, "want the name of a metric")
		return
	}
	if typ == "" {
		return // the caller has reported the unknown type
	}
	name := n.Value
	if typ == "counter" {
		name = strings.TrimSuffix(name, "_total") + "_total" // the Python client also exposes counters with this suffix
	}
	if was := cmp.Or(all.seen[n.Value], all.seen[name]); was != "" {
		r.bad(n, path, "%s is already declared, as a %s: remove one of them", n.Value, was)
		return
	}
	all.seen[n.Value], all.seen[name] = typ, typ
	add(all.node, text(n, name), declaration(n, typ, all.labels[n.Value]))
}

// labels returns the label names by metric. For each metric it uses the first object that has labels for the metric.
func (r *reader) labels(from ...object) map[string]*yaml.Node {
	labels := map[string]*yaml.Node{}
	for _, o := range from {
		m, ok := o.get(keyLabels)
		if !ok {
			continue
		}
		for _, one := range r.object(m, o.path(keyLabels)).members {
			if labels[one.key.Value] == nil {
				labels[one.key.Value] = one.value
			}
		}
	}
	return labels
}

// checkLabels reports labels that are set for a metric which no service has. The Python framework ignores such labels.
func (r *reader) checkLabels(o object) {
	m, _ := o.get(keyLabels)
	if m.value == nil {
		return
	}
	there := map[string]bool{}
	for _, name := range r.metricNames {
		there[name] = true
	}
	unknown := 0
	for _, one := range members(m.value) {
		name := one.key.Value
		if there[name] || unknown == maxUnknown {
			continue
		}
		unknown++
		if meant := config.Closest(name, r.metricNames); meant != "" {
			r.bad(one.key, o.path(keyLabels), "no metric %q; did you mean %q?", name, meant)
		} else if r.allMetrics {
			r.bad(one.key, o.path(keyLabels), "no service has a metric %q in its %s", name, keyMapping)
		}
	}
}

// maxUnknown is the maximum number of unknown metrics that are compared with the known metrics.
const maxUnknown = 100

// declaration returns the declaration of one metric, with the same meaning as in the Python framework.
func declaration(n *yaml.Node, typ string, labels *yaml.Node) *yaml.Node {
	d := mapping(n)
	add(d, text(n, "type"), text(n, typ))
	add(d, text(n, "help"), text(n, words(n.Value)))
	if labels != nil {
		names := clean(labels)
		names.Style = yaml.FlowStyle
		add(d, text(labels, "labels"), names)
	}
	switch typ {
	case "counter":
		increment := text(n, "increment")
		increment.LineComment = "# use total if the function returns a running total, or set enable_delta_metric in the script"
		add(d, text(n, "from"), increment)
	case "histogram":
		bounds := list(n)
		for _, bound := range strings.Fields(pythonBuckets) {
			b := text(n, bound)
			b.Tag = "!!float"
			bounds.Content = append(bounds.Content, b)
		}
		bounds.LineComment = "# as in the Python client"
		add(d, text(n, "buckets"), bounds)
	case "summary":
		d.Content[1].LineComment = "# each call observes what the function returns, such as a mean; use once_by to observe each event once"
	}
	return d
}

// pythonBuckets are the default buckets of the Python package prometheus_client (Histogram.DEFAULT_BUCKETS).
const pythonBuckets = "0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0"

// words returns the name of a metric as a sentence.
func words(name string) string {
	name = strings.ReplaceAll(name, "_", " ")
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(first)) + name[size:] + "."
}
