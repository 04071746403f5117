package config

import (
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/httpclient"
)

// starred is shown instead of a value that may be a secret.
const starred = "<secret>"

// maxShown is the maximum number of values that are shown. There must be a limit, since aliases can make a small file large.
const maxShown = 2000

// shown returns settings as YAML for display, without comments and with aliases written out. A value is replaced by the constant starred if
// the name of the setting says that it can be a secret. Parts of URLs that can be secrets are hidden. References such as env:NAME are
// shown.
func shown(n *yaml.Node) string {
	e := &expander{left: maxShown, plain: true, hides: func(_, key string) bool { return key != "auth" && httpclient.NamesSecret(key) }}
	text, err := yaml.Dump(e.expand(n, "", false, 0), yaml.WithIndent(2))
	if err != nil {
		return ""
	}
	return string(text)
}
