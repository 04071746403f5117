package config

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// starred replaces a value that may be a secret.
const starred = "<secret>"

// Bounds of what is shown: aliases can make a small file large.
const (
	maxShownDepth = 50
	maxShownNodes = 2000
)

// shown returns settings as YAML for people: without comments, with aliases replaced, and with a value starred if its name says that
// it can be a secret, or if it is a part of a URL that can hold one. References such as env:NAME stay.
func shown(n *yaml.Node) string {
	left := maxShownNodes
	text, err := yaml.Dump(covered(n, false, 0, &left), yaml.WithIndent(2))
	if err != nil {
		return ""
	}
	return string(text)
}

// covered returns a copy of a node as it may be shown. Secret says that its scalars are secrets. Left is how many nodes the whole copy
// can still have.
func covered(n *yaml.Node, secret bool, depth int, left *int) *yaml.Node {
	n = resolve(n)
	*left--
	if n == nil || depth > maxShownDepth || *left < 0 {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "…"}
	}
	c := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Style: n.Style, Value: n.Value}
	switch n.Kind {
	case yaml.ScalarNode:
		c.Value = withoutURLSecrets(n.Value)
		if secret && !setting.Text(n.Value).IsReference() {
			c.Value, c.Tag, c.Style = starred, "!!str", 0
		}
	case yaml.MappingNode:
		c.Style = 0 // one setting a line
		for _, p := range pairs(n, 0) {
			if *left < 0 {
				break
			}
			key := p.key.Value
			hidden := secret || key != "auth" && httpclient.NamesSecret(key)
			c.Content = append(c.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: p.key.Tag, Value: key}, covered(p.value, hidden, depth+1, left))
		}
	default:
		for _, item := range n.Content[:min(len(n.Content), max(*left, 0))] {
			c.Content = append(c.Content, covered(item, secret, depth+1, left))
		}
	}
	return c
}

// withoutURLSecrets stars the user of a URL in a text, and the parameters whose name says that they can be a secret.
func withoutURLSecrets(s string) string {
	if !strings.ContainsAny(s, "@=") {
		return s
	}
	user := regexp.MustCompile(`//[^\s"'/@]*@`)
	parameter := regexp.MustCompile(`([?&])([^\s"'=&?]+)=([^\s"'&]+)`)
	s = user.ReplaceAllString(s, "//"+starred+"@")
	return parameter.ReplaceAllStringFunc(s, func(found string) string {
		name, _, _ := strings.Cut(found, "=")
		if httpclient.NamesSecret(name[1:]) {
			return name + "=" + starred
		}
		return found
	})
}
