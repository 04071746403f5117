package jq

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/sources"
)

// TestManual checks examples of jq's manual (https://jqlang.org/manual, CC BY 3.0): an expression, its input, its results, and
// whether it has a direct form.
func TestManual(t *testing.T) {
	f := func(direct bool, expr, input, want string) {
		t.Helper()
		x := exprOf(t, expr)
		if got := x.stages != nil; got != direct {
			t.Errorf("%s runs on the document: %v; jq is needed for %q", expr, got, x.needs)
		}
		var p sources.Parser
		doc, err := p.JSON("", []byte(input))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		err = x.evalAll(t.Context(), evaluatorAt(time.Now()), &item{value: ofDocument(doc.Root)}, func(v value) error {
			text, err := gojq.Marshal(v.jq())
			got = append(got, string(text))
			return err
		})
		var wanted []json.RawMessage
		if err := json.Unmarshal([]byte("["+want+"]"), &wanted); err != nil {
			t.Fatal(err)
		}
		same := len(got) == len(wanted) && err == nil
		for i := range min(len(got), len(wanted)) {
			var a, b any
			same = same && json.Unmarshal([]byte(got[i]), &a) == nil && json.Unmarshal(wanted[i], &b) == nil && gojq.Compare(a, b) == 0
		}
		if !same {
			t.Errorf("%s of %s gives %s, %v; want %s", expr, input, strings.Join(got, ", "), err, want)
		}
	}
	f(true, `.`, `"Hello, world!"`, `"Hello, world!"`)
	f(true, `.foo`, `{"foo": 42, "bar": "less interesting data"}`, `42`)
	f(true, `.foo`, `{"notfoo": true, "alsonotfoo": false}`, `null`)
	f(true, `.["foo"]`, `{"foo": 42}`, `42`)
	f(true, `.foo?`, `{"foo": 42, "bar": "less interesting data"}`, `42`)
	f(true, `.foo?`, `{"notfoo": true, "alsonotfoo": false}`, `null`)
	f(true, `.["foo"]?`, `{"foo": 42}`, `42`)
	f(false, `[.foo?]`, `[1,2]`, `[]`)
	f(true, `.[0]`, `[{"name":"JSON", "good":true}, {"name":"XML", "good":false}]`, `{"name":"JSON", "good":true}`)
	f(true, `.[2]`, `[{"name":"JSON", "good":true}, {"name":"XML", "good":false}]`, `null`)
	f(true, `.[-2]`, `[1,2,3]`, `2`)
	f(false, `.[2:4]`, `["a","b","c","d","e"]`, `["c", "d"]`)
	f(false, `.[2:4]`, `"abcdefghi"`, `"cd"`)
	f(true, `.[]`, `[{"name":"JSON", "good":true}, {"name":"XML", "good":false}]`, `{"name":"JSON", "good":true}, {"name":"XML", "good":false}`)
	f(true, `.[]`, `[]`, ``)
	f(true, `.[]`, `{"a": 1, "b": 1}`, `1, 1`)
	f(false, `.foo, .bar`, `{"foo": 42, "bar": "something else", "baz": true}`, `42, "something else"`)
	f(false, `.user, .projects[]`, `{"user":"stedolan", "projects": ["jq", "wikiflow"]}`, `"stedolan", "jq", "wikiflow"`)
	f(false, `.[4,2]`, `["a","b","c","d","e"]`, `"e", "c"`)
	f(true, `.[] | .name`, `[{"name":"JSON", "good":true}, {"name":"XML", "good":false}]`, `"JSON", "XML"`)
	f(true, `(. + 2) * 5`, `1`, `15`)
	f(false, `{user, title: .titles[]}`, `{"user":"stedolan","titles":["JQ Primer", "More JQ"]}`, `{"user":"stedolan", "title": "JQ Primer"}, {"user":"stedolan", "title": "More JQ"}`)
	f(false, `..|.a?`, `[[{"a":1}]]`, `1`)
	f(true, `.a + 1`, `{"a": 7}`, `8`)
	f(true, `.a + .b`, `{"a": [1,2], "b": [3,4]}`, `[1,2,3,4]`)
	f(true, `.a + null`, `{"a": 1}`, `1`)
	f(true, `.a + 1`, `{}`, `1`)
	f(true, `4 - .a`, `{"a":3}`, `1`)
	f(true, `10 / . * 3`, `5`, `6`)
	f(true, `. / ", "`, `"a, b,c,d, e"`, `["a","b,c,d","e"]`)
	f(false, `.[] | (1 / .)?`, `[1,0,-1]`, `1, -1`)
	f(false, `map(.+1)`, `[1,2,3]`, `[2,3,4]`)
	f(true, `.[] | select(.id == "second")`, `[{"id": "first", "val": 1}, {"id": "second", "val": 2}]`, `{"id": "second", "val": 2}`)
	f(true, `.[] | tonumber`, `[1, "1"]`, `1, 1`)
	f(true, `.[] | tostring`, `[1, "1", [1]]`, `"1", "1", "[1]"`)
	f(true, `fromdate`, `"2015-03-05T23:51:47Z"`, `1425599507`)
	f(false, `.[] == 1`, `[1, 1.0, "1", "banana"]`, `true, true, false, false`)
	f(true, `if . == 0 then   "zero" elif . == 1 then   "one" else   "many" end`, `2`, `"many"`)
	f(true, `. < 5`, `2`, `true`)
	f(true, `42 and "a string"`, `null`, `true`)
	f(false, `(true, false) or false`, `null`, `true, false`)
	f(true, `.foo // 42`, `{"foo": 19}`, `19`)
	f(true, `.foo // 42`, `{}`, `42`)
	f(false, `[.[]|(.a)?]`, `[{}, true, {"a":1}]`, `[null, 1]`)
	f(false, `test("foo")`, `"foo"`, `true`)
	f(false, `.bar as $x | .foo | . + $x`, `{"foo":10, "bar":200}`, `210`)
}
