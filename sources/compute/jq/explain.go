package jq

import (
	"maps"
	"slices"

	agenttext "github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources"
)

// Explain lists the expressions of every metric.
func (c *Config) Explain() []sources.Expression {
	var all []sources.Expression
	for _, name := range slices.Sorted(maps.Keys(*c)) {
		m := (*c)[name]
		add := func(setting string, x *Expr, several bool) {
			if x != nil {
				all = append(all, sources.Expression{Setting: name + "." + setting, Text: agenttext.OneLine(x.text), Needs: x.needsJQ(several)})
			}
		}
		add("items", m.Items, true)
		add("value", m.Value, false)
		add("once_by", m.OnceBy, false)
		for _, label := range m.labelNames() {
			add("labels."+label, m.Labels[label], false)
		}
	}
	return all
}

// needsJQ is what of the expression only jq can compute; "" where it does without. Several tells whether it may give more
// than one value.
func (x *Expr) needsJQ(several bool) string {
	switch {
	case x.stages == nil:
		return short(agenttext.OneLine(x.needs))
	case !several && x.step == nil:
		return ".[]"
	}
	return ""
}
