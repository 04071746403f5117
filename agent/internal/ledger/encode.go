package ledger

import (
	"slices"

	"github.com/collectington/collectington/agent/metric"
)

// encode returns the encoded labels of a reading. They are valid until the next call of encode for any table of the ledger, because the
// tables share a buffer.
func (t *table) encode(values []string) []byte {
	encoded := t.sets.encoded[:0]
	more := ""
	if t.more >= 0 {
		more = values[t.more]
	}
	for i := range t.labels {
		l := &t.labels[i]
		value := l.constant
		if l.value >= 0 {
			value = values[l.value]
		}
		if value == "" {
			continue
		}
		if more != "" {
			encoded, more = appendMore(encoded, more, l.name)
		}
		encoded = metric.AppendLabel(encoded, l.name, value)
	}
	if more != "" {
		encoded, _ = appendMore(encoded, more, "")
	}
	t.sets.encoded = encoded
	return encoded
}

// appendMore appends the packed labels whose names sort before the name in the argument "before". If this argument is empty, it appends
// all packed labels. It returns the packed labels that remain. A packed label with exactly the name in "before" is left out, because the
// metric declares this label itself.
func appendMore(encoded []byte, packed, before string) ([]byte, string) {
	for packed != "" {
		l, rest := metric.CutPacked(packed)
		switch {
		case before == "" || l.Name < before:
			encoded = metric.AppendLabel(encoded, l.Name, l.Value)
		case l.Name > before:
			return encoded, packed
		}
		packed = rest
	}
	return encoded, ""
}

// values appends the label values of a series in the order of desc.LabelNames. Readings have their label values in the same order.
func (t *table) values(into []string, set *metric.LabelSet) []string {
	for i, name := range t.desc.LabelNames {
		if i != t.more {
			into = append(into, set.Get(name))
			continue
		}
		var more []metric.Label
		for l := range set.All() {
			if !slices.ContainsFunc(t.labels, func(own label) bool { return own.name == l.Name }) {
				more = append(more, l)
			}
		}
		into = append(into, metric.PackLabels(more))
	}
	return into
}
