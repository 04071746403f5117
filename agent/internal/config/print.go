package config

import (
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
)

// maxPrinted is the maximum number of values that YAML writes. Written-out aliases can need more values than fit into
// memory.
const maxPrinted = 1_000_000

// YAML returns the plan as one configuration file. Files and defaults are merged, and aliases are written out. If there are
// several files, a comment at each job names its file. Values that look like secrets are replaced.
func (p *Plan) YAML() ([]byte, error) {
	e := &expander{left: maxPrinted, hides: func(of, key string) bool { return holdsTexts(of) && httpclient.NamesSecret(key) }}
	root := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, entry := range pairs(p.root, 0) {
		value := entry.value
		switch entry.key.Value {
		case "include", "defaults":
			continue
		case "jobs":
			value = p.jobNodes()
		case "sinks":
			value = only(value, func(name string) bool {
				return slices.ContainsFunc(p.Sinks, func(s Sink) bool { return s.Name == name })
			})
		}
		root.Content = append(root.Content, e.expand(entry.key, "", false, 0), e.expand(value, entry.key.Value, false, 0))
	}
	if e.left < 0 {
		return nil, errors.New("print: the configuration is too large with all aliases written out")
	}
	dumped, err := yaml.Dump(root, yaml.WithLineWidth(-1), yaml.WithIndent(2))
	if err != nil {
		return nil, fmt.Errorf("print: %w", err)
	}
	return dumped, nil
}

// jobNodes returns a mapping of all jobs by name, including their defaults.
func (p *Plan) jobNodes() *yaml.Node {
	all := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, j := range p.Jobs {
		key := *j.at
		if len(p.files.parts) > 1 {
			part := p.files.part(key.Line)
			key.HeadComment = fmt.Sprintf("# from %s:%d", text.OneLine(part.name), key.Line-part.before)
		}
		all.Content = append(all.Content, &key, j.node)
	}
	return all
}

// only returns a copy of a mapping that has just some of its entries: those for whose names the result of keep is true.
func only(n *yaml.Node, keep func(name string) bool) *yaml.Node {
	kept := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, p := range pairs(n, 0) {
		if keep(p.key.Value) {
			kept.Content = append(kept.Content, p.key, p.value)
		}
	}
	return kept
}

// maxDepth is how many levels deep the values of a printed configuration can be nested.
const maxDepth = 100

// expander copies nodes and writes out aliases and merges. It replaces secrets.
type expander struct {
	left  int                       // how many more nodes may be copied; negative if there were too many
	plain bool                      // without comments, and with one setting per line
	hides func(of, key string) bool // reports whether the values of a key can be secrets; "of" is the name of the mapping
}

// expand copies the value of a setting. The argument "name" is the name of the setting. The argument "hidden" says whether texts in the
// value can be secrets. A value becomes "…" if it is nested too deep, or if it needs more nodes than the field "left" allows. The rest is
// then left out.
func (e *expander) expand(n *yaml.Node, name string, hidden bool, depth int) *yaml.Node {
	n = resolve(n)
	if e.left--; e.left < 0 || depth > maxDepth {
		e.left = -1
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "…"}
	}
	c := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value, Style: n.Style, HeadComment: n.HeadComment}
	if e.plain {
		c.HeadComment = ""
	}
	switch n.Kind {
	case yaml.ScalarNode:
		c.Value = hideInURLs(n.Value)
		if hidden && !setting.Text(n.Value).IsReference() {
			c.Value, c.Tag, c.Style = starred, "!!str", yaml.DoubleQuotedStyle
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			if e.left < 0 {
				break
			}
			c.Content = append(c.Content, e.expand(item, name, hidden, depth+1))
		}
	case yaml.MappingNode:
		if e.plain {
			c.Style = 0
		}
		for _, p := range pairs(n, 0) {
			if e.left < 0 {
				break
			}
			hidden := hidden || e.hides(name, p.key.Value)
			c.Content = append(c.Content, e.expand(p.key, "", false, depth+1), e.expand(p.value, p.key.Value, hidden, depth+1))
		}
	}
	return c
}

// holdsTexts reports whether a setting is a mapping whose keys are chosen by the user and whose values can be secrets.
func holdsTexts(name string) bool {
	return slices.Contains([]string{"headers", "query", "params", "form", "body", "env", "claims", "settings"}, name)
}
