package infer

import (
	"testing"

	"go.yaml.in/yaml/v4"
)

// TestYAMLText checks that a YAML parser reads a text back as the same string.
func TestYAMLText(t *testing.T) {
	for _, text := range []string{
		"", "a", ".open", ".a.b", ".5", ".5e3", ".Inf", ".INF", ".inf", ".NaN", ".", "..", "...", "....", "true", "No", "null", "~", "1", "0x1f", "2026-01-01",
		"a: b", "a #b", "it's", `"x"`, "- a", "a\nb", "\x7f", "é", "{a: 1}", "@x", "%x", " a ", "-", "?", "y",
	} {
		var got any
		if err := yaml.Unmarshal([]byte("key: "+yamlText(text)), &got); err != nil {
			t.Errorf("%q as %s: %v", text, yamlText(text), err)
			continue
		}
		if value := got.(map[string]any)["key"]; value != text {
			t.Errorf("%q as %s is read as %#v", text, yamlText(text), value)
		}
	}
}
