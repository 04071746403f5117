package jq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp/syntax"
	"strings"
	"testing"
	"time"

	"github.com/itchyny/gojq"
)

// plain returns what gojq itself gives for an expression: its values as JSON, or the error of compiling or running. The result "done" is
// false if there is nothing to compare, because the text cannot be parsed, the context has ended, or there are too many values.
func plain(ctx context.Context, text string, in any) (results []string, done bool) {
	query, err := gojq.Parse(text)
	if err != nil {
		return nil, false
	}
	code, err := gojq.Compile(query, gojq.WithFunction("timestamp", 0, 0, timestamp))
	if err != nil {
		return []string{"jq: " + err.Error() + hint(err.Error())}, true
	}
	for iter := code.RunWithContext(ctx, in); len(results) < 1000; {
		v, more := iter.Next()
		if err, failed := v.(error); failed {
			return append(results, "error: "+err.Error()), ctx.Err() == nil
		}
		if !more {
			return results, true
		}
		results = append(results, asJSON(v))
	}
	return results, false
}

// bounded returns what this package gives for an expression. The result "over" is the error if the run has exceeded its limits. "over" is
// also set if a constant in the expression should be a regular expression but is not valid. gojq notices this only when the run gets there.
func bounded(ctx context.Context, text string, in any) (results []string, over error) {
	_, code, err := Compile(text)
	if bad, ok := errors.AsType[*syntax.Error](err); ok {
		return nil, bad
	}
	if err != nil {
		return []string{err.Error()}, nil
	}
	err = code.Each(ctx, in, func(v any) error { results = append(results, asJSON(v)); return nil })
	if e, ok := err.(*Exceeded); ok {
		return nil, e
	}
	if err != nil {
		results = append(results, "error: "+err.Error())
	}
	return results, nil
}

func asJSON(v any) string {
	text, err := gojq.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%T %s", v, text)
}

func parsed(t *testing.T, text string) any {
	t.Helper()
	var v any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func inputs() []string {
	return []string{
		`null`, `{"a":[1,2.5,{"b":null}],"b":{"c":"x,y,,z"},"s":"aéb\u0000,a","n":12345678901234567890123,"k":"b"}`,
		`[3,1,2,1,"b","a",[2],[1,1],{"a":1},{"a":0,"b":2},null,true,false,1.0,-0.5,1e400]`, `"one, two  three, é,,"`, `42`, `[[1,2],[3],[]]`,
		`[{"name":"x","value":1},{"key":"y","Value":2},{"k":null,"v":3}]`, `"[1,{\"a\":2}]"`, `"2015-03-05T23:51:47Z"`, `[0,[1,[2,[3,[4]]]]]`,
	}
}

// expressions returns expressions that use every operator and function of jq.
func expressions() []string {
	all := []string{
		`.a + .b`, `.a - [1]`, `. - [1, "a"]`, `. * 2`, `. * {b: {c: {d: 1}}}`, `"ab" * 3`, `"ab" * 0`, `"ab" * -1`, `3 * "ab"`, `. / ", "`, `. % 5`, `. % 0`, `. / 0`, `5 % -2`,
		`.n + 1`, `.n * .n`, `.n - .n`, `.n == .n + 0`, `9223372036854775807 + 1`, `-9223372036854775808 - 1`, `4611686018427387904 * 2`, `7 / 2`, `6 / 2`, `1 / 3.0`, `-5 % 3`, `5.5 % 2`,
		`[.[]?]`, `.[]`, `.[]?`, `..`, `[..|numbers]`, `[paths]`, `.a[0]`, `.a[-1]`, `.a[1:]`, `.[2:4]`, `.[1:] = [9]`, `.[:-1]`, `.a[1.7]`, `.[[1]]`, `.[[3,1]]`, `.["a"]`, `.[.k]`, `.a[.b]?`, `.["a","b"]`,
		`.a = 1`, `.a |= . + 1`, `.a += 1`, `.a -= 1`, `.a *= 2`, `.a /= 2`, `.a %= 2`, `.a //= 3`, `.x.y[2] = 1`, `.[2] = 9`, `.[-1] = 9`, `.a[] |= empty`, `.[] += 1`, `(.a, .b) = (1, 2)`, `.a += (1, 2)`,
		`.a[0] |= (1, 2)`, `.[] |= (select(. != 1))`, `map_values(empty)`, `map_values(. as $x | $x)`, `del(.a[0, 1])`, `del(.[1, 2])`, `del(..)`, `delpaths([["a", 0], ["b"]])`, `to_entries`, `with_entries(.value |= tostring)`,
		`"\(.a)-\(.b)"`, `"x\(1, 2)y\(3, 4)"`, `@json "v=\(.)"`, `@csv`, `@tsv`, `@html "<\(.)>"`, `@uri`, `@sh`, `@base64`, `@base64 | @base64d`, `@text`, `@json`, `@urid`, `@nope`, `@csv "\(.[0:2])"`, `format("csv")`,
		`tojson`, `fromjson`, `tostring`, `tonumber`, `tojson | fromjson`, `length`, `utf8bytelength`, `keys`, `has("a")`, `has(0)`, `in({"a": 1})`, `add`, `add(.[]?)`, `any`, `all`, `any(. == 1)`, `flatten`, `flatten(1)`, `flatten(-1)`,
		`range(5)`, `[range(0; 10; 3)]`, `[range(5; 0; -2)]`, `floor`, `sqrt`, `pow(2; 3)`, `log`, `min`, `max`, `min_by(.a?)`, `max_by(tostring)`, `sort`, `sort_by(type, tostring)`, `group_by(type)`, `unique`, `unique_by(type)`, `reverse`,
		`contains("a")`, `contains([1])`, `contains({a: [1]})`, `contains([{a: 1}])`, `inside([1, 2, 3, 42])`, `inside({})`, `contains(1)`, `contains(null)`, `contains(true)`, `startswith("o")`, `endswith(",")`, `ltrimstr("o")`, `rtrimstr(",")`, `trim`,
		`indices(1)`, `indices(", ")`, `indices([1, "b"])`, `index(",")`, `rindex(",")`, `index("")`, `indices("")`, `indices([])`, `index(1)`, `rindex(1)`, `"aaaa" | indices("aa")`, `"é,é" | index(",")`, `"a\u0000b" | indices("b")`,
		`combinations`, `[limit(3; .[]?)]`, `first(.[]?)`, `[skip(1; .[]?)]`, `nth(1)`, `nth(1; .[]?)`, `last(.[]?)`, `until(. == 42; 42)`, `[while(type == "number" and . < 50; . + 3)]`, `[limit(3; repeat(1))]`, `explode`, `explode | implode`, `implode`, `split(",")`, `split(", "; null)`,
		`split(",\\s*"; "g")`, `[splits(",")]`, `[splits("\\s*")]`, `join(",")`, `[1, null, "a", true, 2.5, nan] | join("-")`, `[[1], 2] | join("-")`, `[] | join(1)`, `[1] | join(1)`, `{a: 1, b: "x"} | join("+")`, `"1 2" | fromjson`, `"[1" | fromjson`, `"nan" | fromjson`, `" 1 " | fromjson`, `join(1)`, `join("-", "+")`, `ascii_downcase`, `ascii_upcase`, `recurse`, `[recurse(.[]?; . != 1)]`, `env`, `transpose`, `bsearch(1)`, `bsearch(2)`, `walk(if type == "number" then . + 1 else . end)`, `walk(select(. != 1))`,
		`test("a")`, `test("A"; "i")`, `test(["a", "i"])`, `test("(" | .)`, `test(1)`, `test("a"; "q")`, `test("a.b"; "m")`, `match("a")`, `[match("[a-z]+"; "g")]`, `[match("(?<x>[a-z])|(,)"; "g")]`, `[match(""; "g")]`, `[match("a*"; "g")]`, `[match("\\b"; "g")]`, `[match("^"; "g")]`, `match(["é", "gi"])`,
		`capture("(?<w>\\w+), (?<v>.)")`, `[capture("(?<w>\\w)"; "g")]`, `[scan("\\w+")]`, `[scan("(\\w)(\\w)")]`, `[scan(["A", "i"])]`, `sub(","; ";")`, `gsub(","; ";")`, `gsub("(?<x>\\w)"; "<\(.x)>")`, `[gsub("a|e"; "1", "2")]`, `gsub(","; empty)`, `gsub(""; "-")`, `gsub("\\s*"; "_")`, `gsub("^"; ">")`,
		`gsub("x*"; "."; "i")`, `[sub("(?<a>o)"; .a + "1", .a + "2")]`, `sub("a"; 1)`, `gsub(","; null)`, `sub(1; "a")`, `gsub(("(" | .); "a")`, `gsub("a"; error("no"))`, `sub("nothing"; error("no"))`, `try error("x") catch .`, `try error({a: 1}) catch .a`, `error(null)`, `error`, `.a.b.c?`, `(.a | .b)? // "none"`,
		`fromdate`, `todate`, `mktime`, `gmtime`, `strptime("%Y-%m-%dT%H:%M:%SZ")`, `strftime("%Y")`, `timestamp`, `ascii`, `input`, `inputs`, `$__loc__`, `splits("a"; "b"; "c")`, `getpath(["a", 0])`, `getpath(["x", "y"])`, `setpath(["a", 0]; 9)`, `setpath([]; 1)`, `setpath(1; 1)`, `[paths(type == "number")]`, `pick(.a)`, `pick(.[1])`, `pick(.x[2])`,
		`tostream`, `fromstream(tostream)`, `[1 | truncate_stream([[0], 1], [[1, 0], 2], [[1, 0]], [[1]])]`, `limit(0; 1)`, `limit(-1; 1)`, `IN(1, 2)`, `IN(.[]?; 1)`, `INDEX(.[]?; tostring)`, `INDEX(.name?)`, `[JOIN({}; .[]?; tostring)]`, `ltrimstr(1)`, `significand`, `splits(1)`, `tojson | test("a")`, `abs`, `toarray`, `have_literal_numbers`,
		`reduce .[]? as $x (0; . + ($x | tostring | length))`, `reduce .[]? as [$a, $b] (null; $a)`, `foreach .[]? as $x (0; . + 1; [., $x])`, `foreach (1, 2) as $x (0; . + $x)`, `label $out | .[]? | if . == 1 then ., break $out else . end`, `. as {a: [$x, $y]} | $x + $y`, `. as [$a] ?// $a | $a`, `. as {"b": {$c}} | $c`, `. as {$s} | $s`,
		`def f: . + 1; f`, `def f(g): g + g; f(1)`, `def f($x): $x * x; f(2)`, `def map(f): "mine"; map(1)`, `def select(f): "mine"; [.[]? | select(1)]`, `def tojson: "mine"; tojson, @json, "\(.)"`, `def tostring: "mine"; "\(1)", @text`, `def sub(a; b): "mine"; gsub("a"; "b"), sub(1; 2)`, `def f: def g: 3; g + g; f * 2`, `def recurse: 7; ..`,
		`def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; [range(30) | fac]`, `def f(map): map; f(3)`, `if . == 42 then "yes" elif .a? then "a" else "no" end`, `. and true, (. or false), (. | not)`, `.a // "x"`, `(.[]? | numbers) // "none"`, `[.[]?, 1] | first`, `{a, b: 2, "c": 3, (.k?  // "z"): 4, "\(1)x": 5}`, `{"a\(1)"}`, `{$__loc__}`, `[.[]? as $x | {$x}]`,
		`-.a`, `-(1)`, `-. `, `+1`, `. == 42`, `. != 42`, `. < 42`, `. <= 42`, `. > "a"`, `. >= [1]`, `[.[]? < 2]`, `.a == .a`, `{} < []`, `nan < nan`, `[nan] | sort`, `infinite`, `[.[]?] | sort == sort`, `splits`, `$x`, `builtins | length > 100`, `ltrimstr("x") | tojson`, `@json "x\("y")"`, `tojson as $x | $x`, `.a as $x | .b as $y | $x`, `limit(2; repeat("a"))`,
		`path(..)`, `[path(.a[]?)]`, `path(.a | map(.)?)`, `path(getpath(["a", "b"])?)`, `[path(.a[0, 1]?)]`, `path(first(.a, .b))`, `path(if .a then .a else .b end)`, `path(1)`, `path(.a | tojson)`, `paths(..)`, `to_entries | from_entries`, `from_entries`, `halt`, `"x" | halt_error`, `getpath(["a", "b"]) = 1`, `.. |= .`, `.. = 1`, `(.a | select(. != null)) |= length`, `.[0]?, .[1:]?`,
		`try error catch .`, `.[-1:] |= map(. * 2)`, `.a[1:] += [1]`, `.["a"]?.b?`, `."a"`, `."a"?`, `."\("a")"`, `.a."b"?`, `.a["b"]?`, `.[1e3]`, `.[1000]`, `[.[]?|tojson|fromjson]`, `(1, 2) + (10, 20)`, `[(1, 2) * (3, 4)]`, `(1, 2) as $x | (3, 4) as $y | $x - $y`, `[(1, 2) == (1, 2)]`, `try (1 + "a") catch .`, `{} + 1`, `[] + {}`, `null + null`, `null + .n`,
	}
	return all
}

// TestExpressionsMeanWhatTheyMeanToGojq checks that expressions have the same values and errors as in gojq itself.
func TestExpressionsMeanWhatTheyMeanToGojq(t *testing.T) {
	ctx := t.Context()
	for _, text := range expressions() {
		for _, input := range inputs() {
			want, done := plain(ctx, text, parsed(t, input))
			if !done {
				t.Errorf("%s of %s does not parse, or has no end", text, input)
				continue
			}
			if got, over := bounded(ctx, text, parsed(t, input)); over != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s of %s\ngives %q, %v\nwant  %q", text, input, got, over, want)
			}
		}
	}
}

func FuzzExpressions(f *testing.F) {
	for i, text := range expressions() {
		f.Add(text, inputs()[i%len(inputs())])
	}
	f.Fuzz(func(t *testing.T, text, input string) {
		var in any
		decoder := json.NewDecoder(strings.NewReader(input))
		decoder.UseNumber()
		if len(text) > 200 || len(input) > 300 || decoder.Decode(&in) != nil || strings.Contains(text, "now") || strings.Contains(text, "local") || strings.Contains(text, "limit") {
			t.Skip()
		}
		checkFirstUse(t, text)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		got, over := bounded(ctx, text, in)
		if over != nil || ctx.Err() != nil || len(got) > 500 {
			t.Skip()
		}
		want, done := plain(ctx, text, in)
		if done && !reflect.DeepEqual(got, want) {
			t.Errorf("%s of %s\ngives %q\nwant  %q", text, input, got, want)
		}
	})
}

// checkFirstUse checks an expression which Compile accepts. The first use of the expression must find no error.
func checkFirstUse(t *testing.T, text string) {
	if _, code, err := Compile(text); err == nil {
		if _, err := code.take(); err != nil {
			t.Errorf("%s: the first use has the error: %v", text, err)
		}
	}
}

// TestCompiles checks expressions that are not compiled when they are read. None of them has an error. Some expressions that occur in many
// configurations must be among them.
func TestCompiles(t *testing.T) {
	for _, text := range expressions() {
		checkFirstUse(t, text)
	}
	for text, want := range map[string]bool{
		`.`: true, `.a.b`: true, `.a[]`: true, `.["a-b"]?`: true, `.a // 0`: true, `(.used - .free) / 1000`: true, `.a == "x" and true`: true,
		`.[0]`: true, `.[-1].a`: true, `.a | length`: false, `.[1:]`: false, `.[.k]`: false, `.["\(.a)"]`: false, `.a as $x | .b`: false, `1234567`: false, `.a |= 1`: false,
	} {
		query, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := compiles(query); got != want {
			t.Errorf("%s certainly compiles: %v, want %v", text, got, want)
		}
	}
}

// TestBuiltinsAreThoseOfGojq checks that builtin.jq is the same as in the module gojq, except for the functions that differ on purpose.
func TestBuiltinsAreThoseOfGojq(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/itchyny/gojq").Output()
	if err != nil {
		t.Skip(err)
	}
	theirs, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "builtin.jq"))
	if err != nil {
		t.Fatal(err)
	}
	split := func(text string) map[string]string {
		all := map[string]string{}
		for _, def := range strings.Split("\n"+text, "\ndef ")[1:] {
			head, _, _ := strings.Cut(def, ": ")
			all[strings.Join(strings.Fields(head), " ")] = strings.TrimSpace(def)
		}
		return all
	}
	want, got := split(string(theirs)), split(builtin)
	for head, def := range want {
		if strings.HasPrefix(head, "splits($re; $flags)") || strings.HasPrefix(head, "sub($re; str; $flags)") {
			continue
		}
		if got[head] != def {
			t.Errorf("def %s: is %q, gojq has %q", head, got[head], def)
		}
	}
	if len(got) < len(want) {
		t.Errorf("%d functions, gojq has %d", len(got), len(want))
	}
}
