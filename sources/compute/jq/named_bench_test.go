package jq

import (
	"fmt"
	"strings"
	"testing"

	"github.com/collectington/collectington/sources"
)

// BenchmarkLabelsFrom measures 1000 items, each with an object of five labels.
func BenchmarkLabelsFrom(b *testing.B) {
	var items []string
	for i := range 1000 {
		items = append(items, fmt.Sprintf(`{"v": %d, "tags": {"app": "a%d", "env": "prod", "zone": "z%d", "tier": "web", "team": "t"}}`, i, i, i%7))
	}
	s, err := configOf(b, "rule: {type: gauge, help: H., items: '.list[]', value: .v, labels_from: .tags}").New(sources.Env{Fetch: &fixed{text: `{"list": [` + strings.Join(items, ",") + `]}`}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Collect(b.Context(), sources.Tick{}); err != nil {
			b.Fatal(err)
		}
	}
}
