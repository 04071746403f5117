package starlark

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/compute/starlark/sandbox"
)

// eager returns a document as Starlark's own dicts and lists.
func eager(v document.Value) starlark.Value {
	switch v.Kind() {
	case document.Object:
		d := starlark.NewDict(0)
		for key, member := range v.Members {
			_ = d.SetKey(starlark.String(key), eager(member))
		}
		return d
	case document.Array:
		var list []starlark.Value
		for item := range v.Items {
			list = append(list, eager(item))
		}
		return starlark.NewList(list)
	}
	return scalar(v)
}

// expressions returns expressions with all operations on d, a value of a document. The values e and m are equal to d, but made of
// Starlark's own dicts and lists. Only m is not frozen.
func expressions() []string {
	return strings.Split(strings.ReplaceAll(strings.TrimSpace(`
type(d); str(d); repr(d); bool(d); not d; len(d); dir(d); json.encode(d); [x for x in d]; list(d); dict(d); sorted(d); min(d); max(d)
d == d; d != d; d == e; e == d; d == m; m == d; [d] == [m]; [m] == [d]; (d, 1) == (m, 1); (m, 1) == (d, 1)
{"x": m} == {"x": d}; {"x": d} == {"x": m}; d != m; m != d; d < m; m < d; m >= d; d == 5; m == d or d == "text"
d in [m]; m in [d]; d in [d]; [d] in [[m]]; [m] in [[d]]; d in (m,); d not in [m]; [m].index(d); [d].index(m); [1, m].index([])
"a" in d; 0 in d; d in d; [] in d; {} in d; [3, 1] in [d]; {"a": 1} in [d]
sorted([d, m]); sorted([m, d]); sorted([[m, 2], [d, 1]]); min([[m, 1], [d, 0]]); max([d, m]); max(m, d); min([m], [d])
sorted([1, 2], key = lambda i: [m, d][i - 1]); sorted([2, 1], key = lambda i: [[m, d][i - 1], i]); sorted(d, key = len)
d["a"]; d["a"]["b"]; d[0]; d["nope"]; d[[]]; d[None]; d[0:1]; d["a"][0]; d.get("a"); d.get("a", 1); d.get("nope"); d.get("nope", 2)
d.get(); d.get([]); d.get(x = 1); d.get; d.nope; d.keys(); d.values(); d.items(); d.kees(); getattr(d, "get")("a"); hasattr(d, "keys")
d.pop("a"); d.pop("nope"); d.popitem(); d.clear(); d.setdefault("a", 1); d.setdefault("nope", 1); d.update([("x", 1)]); d.update({})
d.append(1); d.index(1); d.remove(1); d.insert(0, 1); put(d); store(d); union(d); each(d)
d | {"x": 1}; {"x": 1} | d; d | d; e | d; d | 1; 1 | d; d + [1]; [1] + d; d + d; d * 2; 2 * d; d % 2; d - d; -d; d // d
"%s" % d; "%(a)s" % d; "%r %s" % (d, d); "{}".format(d); "{a}".format(**d); (lambda **kw: kw)(**d); (lambda *a: a)(*d)
{d: 1}; [k for k, v in d.items()]; {k: v for k, v in d.items()}; zip(d, d); enumerate(d); reversed(d); any(d); all(d); tuple(d)
fail(d); sum(d); mean(d); print(d); int(d); float(d); dict(x = d)["x"] == m; "".join(d); ",".join([str(x) for x in d])
`), "\n", "; "), "; ")
}

const helpers = `
def put(d): d["a"] = 1
def store(d): d[0] = 1
def union(d):
    x = {"z": 1}
    y = x
    x |= d
    return x, y
def each(d):
    for i in d:
        if i == d: fail("no")
        if d == i: fail("no")
    return [i == j for i in d for j in d]
`

// same checks that an expression has the same result for a value of a document as for an equal value made of Starlark's own dicts and
// lists.
func same(t *testing.T, expression string, v document.Value) {
	t.Helper()
	eval := func(d starlark.Value) string {
		s := &source{env: sources.Env{Job: "test"}}
		env := s.predeclared(starlark.NewDict(0), &registry{})
		env["d"], env["e"], env["m"] = d, eager(v), eager(v)
		env["d"].Freeze()
		env["e"].Freeze()
		code, err := sandbox.Compile("x", helpers+"result = "+expression, env.Has)
		if err != nil {
			return err.Error()
		}
		globals, err := code.Init(&starlark.Thread{Print: func(*starlark.Thread, string) {}}, env)
		if err != nil {
			return err.Error()
		}
		return globals["result"].String()
	}
	value, _ := ofDocument(v)
	if got, want := eval(value), eval(eager(v)); got != want {
		t.Errorf("%s of %s\ndocument: %s\ndicts:    %s", expression, v, got, want)
	}
}

var documents = []string{
	`{"a": {"b": [1, 2.5, "x", null, true, {"c": {}}]}, "e\n\u00e9": "\ud83d\ude00", "a": {"b": "last"}}`, `{}`, `[]`, `[[1, {"a": 1}], [1, {"a": 2}], {}]`,
	`[{"a": 1}, {"a": 1}]`, `{"a": [3, 1, 2]}`, `5`, `"text"`, `null`, `{"a": 12345678901234567890, "": 1e3}`, `[["a", 1], ["b", [2]]]`,
}

// TestObjectIsADict checks every expression on a few documents.
func TestObjectIsADict(t *testing.T) {
	many := `{"a": 1`
	for i := range 100 {
		many += fmt.Sprintf(`, "k%d": {"n": %d}`, i, i)
	}
	for _, text := range append(documents, many+"}") {
		var p document.Parser
		v, err := p.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, expression := range expressions() {
			same(t, expression, v)
		}
	}
}

// FuzzObject checks any document.
func FuzzObject(f *testing.F) {
	for i, text := range documents {
		f.Add(text, uint(i))
	}
	all := expressions()
	f.Fuzz(func(t *testing.T, text string, n uint) {
		var p document.Parser
		v, err := p.Parse([]byte(text))
		if err != nil || len(text) > 2000 || !json.Valid([]byte(text)) {
			return
		}
		same(t, all[n%uint(len(all))], v)
	})
}
