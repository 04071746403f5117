package config

import (
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/httpclient"
)

// starred replaces a value that may be a secret.
const starred = "<secret>"

// maxShown is the maximum number of values that are shown: aliases can make a small file large.
const maxShown = 2000

// shown returns settings as YAML for people: without comments, with aliases replaced, and with a value starred if its name says that
// it can be a secret, or if it is a part of a URL that can hold one. References such as env:NAME stay.
func shown(n *yaml.Node) string {
	e := &expander{left: maxShown, plain: true, hides: func(_, key string) bool { return key != "auth" && httpclient.NamesSecret(key) }}
	text, err := yaml.Dump(e.expand(n, "", false, 0), yaml.WithIndent(2))
	if err != nil {
		return ""
	}
	return string(text)
}
