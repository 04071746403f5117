package starlark

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	starjson "go.starlark.net/lib/json"
	"go.starlark.net/starlark"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// FuzzDocument checks the Starlark value of a document. It stays the same when the document's memory is reused. Encoded as JSON, it equals
// the document.
func FuzzDocument(f *testing.F) {
	for _, text := range []string{records, `[]`, `{"a": {"a": 1, "a": 2}}`, `"\ud83d\ude00\ud800é\u00e9"`, `[1e3, -0.5, 12345678901234567890123, 9007199254740993]`, `-0`, `1e999`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var p sources.Parser
		body := []byte(text)
		doc, err := p.JSON("x", body)
		if err != nil || len(text) > 10_000 || !utf8.ValidString(text) {
			return
		}
		v, _ := ofDocument(doc.Root)
		before := v.String()
		clear(body)
		if _, err := p.JSON("y", []byte(`{"another": "document", "in the same": "memory"}`)); err != nil {
			t.Fatal(err)
		}
		if v.String() != before {
			t.Errorf("%q changes with the next document", text)
		}
		out, err := starlark.Call(&starlark.Thread{}, starjson.Module.Members["encode"], starlark.Tuple{v}, nil)
		if err != nil {
			return // infinite, or not UTF-8
		}
		if a, b := decoded(t, text), decoded(t, string(out.(starlark.String))); !reflect.DeepEqual(a, b) {
			t.Errorf("%q\nis %v\nand %v", text, a, b)
		}
	})
}

func decoded(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Skip(err)
	}
	return v
}

// FuzzReadings checks that any return value becomes readings that fit the metric, or a short error of one line.
func FuzzReadings(f *testing.F) {
	for _, s := range []string{"5", `[{"a": 1, "v": 2}]`, `event("x", 1, a = 2)`, `[inc(), set(1), observe([])]`, `{"a": None}`, `{1: 2, "a": 3}`, "lambda: 1", `[[]]`, `float("inf")`, `{"a": "\xff", 3: 1}`} {
		f.Add(s)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, expression string) {
		if len(expression) > 200 || strings.Contains(expression, "for") || os.WriteFile(filepath.Join(dir, "test.star"), []byte("def get_x():\n    return (\n"+expression+"\n)\n"), 0o600) != nil {
			return
		}
		for _, metrics := range []string{"x: {type: gauge}", "x: {type: gauge, labels: [a]}", "x: {type: histogram, labels: [a], once_by: id}"} {
			s, err := configOf(t, "metrics: {"+metrics+"}").New(sources.Env{Job: "test", Dir: dir, Fetch: &api{texts: map[string]string{"": `{"a": 1}`}}})
			var readings metric.Readings
			if err == nil {
				readings, err = s.Collect(t.Context(), tickAt())
			}
			for _, m := range readings {
				if m.Err != nil {
					err = m.Err
				}
				for _, r := range m.Rows {
					if len(r.Labels) != len(m.Desc.LabelNames) || r.Value-r.Value != 0 {
						t.Errorf("%q: %v", expression, r)
					}
				}
			}
			if err != nil && (len(err.Error()) > 2000 || strings.ContainsAny(err.Error(), "\n\x1b")) {
				t.Errorf("%q: %q", expression, err)
			}
		}
	})
}
