package jq

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/collectington/collectington/sources"
)

// FuzzNumber compares the numbers of documents with those of encoding/json.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"0", "-1.5e3", "1e999", "9007199254740993", "0.1", "NaN", "0x1p2", "1_000", "+1", ".5", "1e5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want float64
		wantErr := json.Unmarshal([]byte(s), &want)
		var p sources.Parser
		doc, err := p.JSON("", []byte(s))
		if err != nil || wantErr != nil || strings.ContainsAny(s, `"`) {
			t.Skip()
		}
		if got, ok := ofDocument(doc.Root).number(); !ok || got != want {
			t.Errorf("%s is %v (%v), want %v", s, got, ok, want)
		}
	})
}

// FuzzCollect checks that the readings of any document are complete, or that there is an error of one line.
func FuzzCollect(f *testing.F) {
	for _, doc := range []string{`{"list":[{"n":"a","v":1,"id":1}]}`, `[]`, `{"list":{"k":{"v":"1"}}}`, `{"list":[null,[],"x",1e400]}`} {
		f.Add(doc)
	}
	config := `
a: {type: gauge, items: '.list[]', value: .v, labels: {n: .n}}
b_total: {type: counter, items: '.list[]', value: .v, once_by: .id, labels: {n: .n, m: '.n | tostring'}}
c: {type: histogram, items: '.list[] | select(.v)', value: .v, missing: zero}
d: {type: gauge, value: '.list | length', missing: error}
e: {type: gauge, value: .list.k.v, map: {"1": 1}, default: drop}
`
	f.Fuzz(func(t *testing.T, doc string) {
		s := sourceOf(t, config, doc)
		readings, err := s.Collect(t.Context(), sources.Tick{})
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of more than one line: %q", err)
			}
			return
		}
		for _, m := range readings {
			for _, r := range m.Rows {
				if len(r.Labels) != len(m.Desc.LabelNames) {
					t.Errorf("%s has %d labels, want %d", m.Desc.Name, len(r.Labels), len(m.Desc.LabelNames))
				}
				if r.Value-r.Value != 0 {
					t.Errorf("%s is %v", m.Desc.Name, r.Value)
				}
			}
		}
		_ = show(readings)
	})
}
