package legacy

import (
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/internal/config"
)

// serviceKeys are the keys of a service that are not the user's own.
func serviceKeys() []string {
	return []string{keyClass, keyModule, keyURL, keyMapping, keySecrets, keyLabels, keyPort}
}

// mistyped finds keys of a service that look like the user's own and are hardly meant so.
func (r *reader) mistyped(o object) {
	var absent []string
	for _, name := range serviceKeys() {
		if _, there := o.get(name); !there {
			absent = append(absent, name)
		}
	}
	for _, m := range o.members {
		if slices.Contains(serviceKeys(), m.key.Value) {
			continue
		}
		if meant := near(m.key.Value, serviceKeys(), absent); meant != "" {
			r.meant[o.path(meant)] = true
			r.bad(m.key, o.name, "no setting %q; did you mean %q?", m.key.Value, meant)
		}
	}
}

// near is the key that a name is almost: one of known in all but a letter or two, or one of absent in all but a word. A
// user's own key, such as api_key or service_name, is near none.
func near(name string, known, absent []string) string {
	for _, key := range known {
		if len(key) >= len(keyURL) && within(name, key, 1+len(key)/12) {
			return key
		}
	}
	for _, key := range absent {
		words := strings.Split(singular(key), "_")
		for i, word := range words {
			less := strings.Join(slices.Delete(slices.Clone(words), i, i+1), "_")
			if len(words) > 2 && word != "secret" && singular(name) == less {
				return key
			}
		}
	}
	return ""
}

// within tells whether at most n letters differ.
func within(a, b string, n int) bool {
	return max(len(a)-len(b), len(b)-len(a)) <= n && config.Distance(strings.ToLower(a), b) <= n
}

// singular is a name without the s at the end of its words.
func singular(name string) string {
	return strings.TrimSuffix(strings.ReplaceAll(strings.ToLower(name), "s_", "_"), "s")
}
