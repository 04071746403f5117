package template

import "testing"

func TestVaries(t *testing.T) {
	for text, want := range map[string]bool{
		"{{ .Window.Start }}": true, "{{ rfc3339 .Now }}": true, `{{ date "2006" (before "1h" .Window.End) }}`: true,
		`{{ date "05" .Window.End }}`: true, "today": false, "": false, `{{ date "text" .Now }}`: false, "{{": false,
	} {
		parsed, err := Parse(text)
		if varies := err == nil && parsed.Varies(); varies != want {
			t.Errorf("%q varies: %v", text, !want)
		}
	}
}
