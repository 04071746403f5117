package jq

import (
	"fmt"
	"testing"

	"github.com/itchyny/gojq"
)

// BenchmarkExpressions compares the time for expressions with the time that gojq itself takes for them.
func BenchmarkExpressions(b *testing.B) {
	items := make([]any, 1000)
	for i := range items {
		items[i] = map[string]any{"id": i, "name": fmt.Sprintf("host-%d.example.com", i), "tags": []any{"a", "b"}, "v": float64(i) / 3}
	}
	for _, text := range []string{
		`map(.v) | add`, `[.[] | select(.v > 100 and .id < 900)] | length`, `group_by(.id % 10) | map(length) | add`, `sort_by(.v) | .[0].id`,
		`map("\(.name)-\(.id)") | length`, `map(.name | split(".") | last) | unique | length`, `map(.name | capture("(?<n>[0-9]+)").n | tonumber) | add`,
		`map(.name | sub("\\..*"; "")) | length`, `map(.tags | join(",")) | unique | length`, `to_entries | map(.value.v * 2 + .key) | add`,
		`reduce .[] as $x (0; . + $x.v)`, `reduce .[] as $x ({}; .[$x.name] += $x.v) | length`, `map(.v |= . + 1) | length`, `map(tojson | fromjson | .id) | add`,
	} {
		query, err := gojq.Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		theirs, err := gojq.Compile(query)
		if err != nil {
			b.Fatal(err)
		}
		_, ours, err := Compile(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(text+"/gojq", func(b *testing.B) {
			for b.Loop() {
				_, _ = theirs.RunWithContext(b.Context(), items).Next()
			}
		})
		b.Run(text+"/bounded", func(b *testing.B) {
			for b.Loop() {
				if _, err := ours.One(b.Context(), items); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
