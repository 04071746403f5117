package discovery

import (
	"strings"
	"testing"

	"github.com/prometheus/common/model"
)

// FuzzList checks that a list either is refused with an error of one line, or gives groups that can be used.
func FuzzList(f *testing.F) {
	for _, list := range []string{
		"- targets: [a:1]\n  labels: {x: y}", `[{"targets": ["a:1"], "labels": {"x": "y"}}]`, "[]", "a", "- &a {targets: [x]}\n- *a", "- {labels: {<<: {a: b}}}", "- {labels: {? [a] : b}}", "--- []\n--- []", "\xff",
	} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		groups, err := parseYAML([]byte(list))
		if err == nil {
			err = checkGroups(groups, func(string) error { return nil })
		}
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of more than one line: %q", err)
			}
			return
		}
		for _, g := range groups {
			for name := range g.Labels {
				if !model.UTF8Validation.IsValidLabelName(name) {
					t.Errorf("the label %q", name)
				}
			}
		}
	})
}
