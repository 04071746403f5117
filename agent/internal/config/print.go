package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
)

// maxPrinted is the maximum number of values that YAML writes: aliases can stand for more than fits into the memory.
const maxPrinted = 1_000_000

// YAML returns the plan as one configuration file: files and defaults are merged, and aliases are written out. A job says which file it
// is from. What looks like a secret is replaced.
func (p *Plan) YAML() ([]byte, error) {
	e := &expander{left: maxPrinted}
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
		root.Content = append(root.Content, e.expand(entry.key, "", 0), e.expand(value, entry.key.Value, 0))
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

// jobNodes returns the jobs by name, with the defaults.
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

// only returns the entries of a mapping whose names are kept.
func only(n *yaml.Node, keep func(name string) bool) *yaml.Node {
	kept := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, p := range pairs(n, 0) {
		if keep(p.key.Value) {
			kept.Content = append(kept.Content, p.key, p.value)
		}
	}
	return kept
}

// expander copies nodes without their aliases, merges and secrets.
type expander struct{ left int } // how many more nodes may be copied; below 0 they were too many

// expand copies the value of a setting.
func (e *expander) expand(n *yaml.Node, name string, depth int) *yaml.Node {
	n = resolve(n)
	if e.left--; e.left < 0 || depth > 100 {
		e.left = -1
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	c := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value, Style: n.Style, HeadComment: n.HeadComment}
	switch n.Kind {
	case yaml.ScalarNode:
		c.Value = hideInURLs(n.Value)
	case yaml.SequenceNode:
		for _, item := range n.Content {
			c.Content = append(c.Content, e.expand(item, name, depth+1))
		}
	case yaml.MappingNode:
		secret := regexp.MustCompile(`(?i)password|passwd|secret|token|credential|authorization|cookie|key`)
		for _, p := range pairs(n, 0) {
			value := e.expand(p.value, p.key.Value, depth+1)
			if holdsTexts(name) && secret.MatchString(p.key.Value) && value.Kind == yaml.ScalarNode && !setting.Text(value.Value).IsReference() {
				value.Value, value.Style = "<secret>", yaml.DoubleQuotedStyle
			}
			c.Content = append(c.Content, e.expand(p.key, "", depth+1), value)
		}
	}
	return c
}

// holdsTexts reports whether the values of a setting are named by the user, and can be secrets that are written out.
func holdsTexts(name string) bool {
	return slices.Contains([]string{"headers", "query", "params", "form", "body", "env", "claims", "settings"}, name)
}
