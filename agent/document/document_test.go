package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func parsed(t testing.TB, text string) Value {
	t.Helper()
	v, err := new(Parser).Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestGet(t *testing.T) {
	v := parsed(t, ` {"a": {"b": [1, {"c": "x"}], "b2": null}, "dup": 1, "dup": 2, "caf\u00e9": 3, "": 4} `)
	for _, c := range []struct {
		got  Value
		kind Kind
		raw  string
	}{
		{v.Get("a").Get("b"), Array, `[1, {"c": "x"}]`},
		{v.Get("a").Get("b2"), Null, "null"},
		{v.Get("dup"), Number, "2"},
		{v.Get("café"), Number, "3"},
		{v.Get(""), Number, "4"},
		{v.Get("nosuch"), Null, "null"},
		{v.Get("dup").Get("a"), Null, "null"},
		{Value{}.Get("a"), Null, "null"},
	} {
		if c.got.Kind() != c.kind || c.got.Raw() != c.raw {
			t.Errorf("got %s %s, want %s %s", c.got.Kind(), c.got.Raw(), c.kind, c.raw)
		}
	}
}

func TestText(t *testing.T) {
	for raw, want := range map[string]string{
		`plain`:                        "plain",
		`\"\\\/\b\f\n\r\t`:             "\"\\/\b\f\n\r\t",
		`\u00e9\u20ac`:                 "é€",
		`\ud83d\ude00`:                 "😀",
		`\ud83d`:                       "\ufffd",
		`\ud83dx`:                      "\ufffdx",
		`\ude00\ud83d`:                 "\ufffd\ufffd",
		`\ud83d\u0041`:                 "\ufffdA",
		strings.Repeat("é", 9) + `\n`:  strings.Repeat("é", 9) + "\n",
		strings.Repeat("a", 70):        strings.Repeat("a", 70),
		strings.Repeat("a", 7) + `\\a`: strings.Repeat("a", 7) + `\a`,
	} {
		if got := parsed(t, `"`+raw+`"`).Text(); got != want {
			t.Errorf("%s is %q, want %q", raw, got, want)
		}
	}
}

func TestWalk(t *testing.T) {
	v := parsed(t, `{"l":[1,[2,[3]],{"x":4}],"m":{"k":5,"k":6}}`)
	var got []string
	for item := range v.Get("l").Items {
		got = append(got, item.Raw())
	}
	for key, member := range v.Get("m").Members {
		got = append(got, key+"="+member.Raw())
	}
	for range v.Get("l").Members {
		t.Error("a list has members")
	}
	for range v.Items {
		t.Error("an object has items")
	}
	if want := `1 [2,[3]] {"x":4} k=5 k=6`; strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "cut short",
		"  ":                            "cut short",
		`{"a": [1, 2`:                   "cut short",
		`"abc`:                          "cut short",
		`"abc\`:                         "cut short",
		`"abc\u12`:                      "cut short",
		`tru`:                           "cut short",
		`-`:                             "cut short",
		`1.`:                            "cut short",
		`1 2`:                           "at byte 2: want the end",
		`01`:                            "at byte 1: want the end",
		`[1,]`:                          "at byte 3: want a value",
		`[1 2]`:                         "at byte 3: want a comma or a closing bracket",
		`{"a":1,}`:                      "at byte 7: want a key in quotes",
		`{"a" 1}`:                       "at byte 5: want a colon",
		`{a: 1}`:                        "at byte 1: want a key in quotes",
		`+1`:                            "at byte 0: want a value",
		`NaN`:                           "at byte 0: want a value",
		`1.x`:                           "at byte 2: want a digit",
		`1e+`:                           "cut short",
		`trup`:                          "at byte 3: want true",
		"\"a\nb\"":                      "at byte 2: want no control character in a text",
		`"\x"`:                          "at byte 1: want an escape such as \\n or \\u00e9",
		`"\u12g4    "`:                  "at byte 1: want an escape such as \\n or \\u00e9",
		strings.Repeat("[", MaxDepth+1): "nested more than 300 deep",
	} {
		if v, err := new(Parser).Parse([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%.30q: got %v, %v; want %s", text, v, err, want)
		}
	}
	if _, err := new(Parser).Parse([]byte(strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth))); err != nil {
		t.Error(err)
	}
}

// TestReuse checks that a Parser leaves nothing of one document in the next, and allocates nothing after the first document.
func TestReuse(t *testing.T) {
	var p Parser
	for _, text := range []string{`{"a":"\n","b":[1,2,3]}`, `[`, `"x"`, `{"a":2}`} {
		v, err := p.Parse([]byte(text))
		if text == `[` {
			if !errors.Is(err, ErrShort) {
				t.Errorf("got %v", err)
			}
			continue
		}
		if err != nil || v.Raw() != strings.Trim(text, `"`) {
			t.Errorf("%s: %v, %v", text, v.Raw(), err)
		}
	}
	text := []byte(`{"list":[` + strings.Repeat(`{"id":"a","n":1.5},`, 1000) + `{}]}`)
	if n := testing.AllocsPerRun(10, func() { _, _ = p.Parse(text) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParse checks that the Parser accepts the same texts as encoding/json, and reads the same values.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,-2.5e+3,true,false,null,"x\u00e9\n"],"a":2}`, `[[],{}]`, `"\ud800"`, ` 0 `, `1e`, `{"a":1,}`, "\"\x1f\"",
		`"12345678\"12345678\\"`, "\"\x7f\xc3\xa9\"", `[1.0,0.10,123456789012345678901234567890]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := new(Parser).Parse(bytes.Clone(text))
		if errors.Is(err, ErrDepth) {
			t.Skip()
		}
		if valid := json.Valid(text); valid != (err == nil) {
			t.Fatalf("valid %v, but %v", valid, err)
		}
		if err != nil || !utf8.Valid(text) {
			return
		}
		var want any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if got := v.JQ(); !reflect.DeepEqual(got, want) {
			t.Errorf("got %#v, want %#v", got, want)
		}
		if trimmed := strings.Trim(string(text), " \t\r\n"); v.Kind() != String && v.Raw() != trimmed {
			t.Errorf("the raw text is %q, want %q", v.Raw(), trimmed)
		}
	})
}

// TestClone checks that a clone is equal to its original, and stays valid when the Parser is used again.
func TestClone(t *testing.T) {
	var p Parser
	text := []byte(`{"a": [1, {"b\n": "x\u00e9"}], "c": null}`)
	v, err := p.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	clone := v.Get("a").Clone()
	clear(text)
	if _, err := p.Parse([]byte(`[[[[[]]]]]`)); err != nil {
		t.Fatal(err)
	}
	var last Value
	for item := range clone.Items {
		last = item
	}
	member := last.Get("b\n")
	if got := string(member.AppendText([]byte("> "))); clone.Raw() != `[1, {"b\n": "x\u00e9"}]` || got != "> xé" {
		t.Errorf("got %s, %s", clone, got)
	}
	if clone.Size() != 5 || member.Size() != 1 || (Value{}).Size() != 1 || (Value{}).Clone() != (Value{}) {
		t.Errorf("sizes %d, %d", clone.Size(), member.Size())
	}
	if len(clone.tree.escapes) != 0 {
		t.Error("texts pile up in the document")
	}
}

// TestLongText checks that a text whose length does not fit into its node keeps its length.
func TestLongText(t *testing.T) {
	tree := &Tree{text: make([]byte, longText+20)}
	list := tree.begin(Array, 0)
	for _, long := range []int{longText - 1, longText, longText + 5} {
		tree.add(String, 3, 3+long, false)
	}
	tree.add(Number, 3, 4, false)
	tree.finish(list, longText+20)
	var got []int
	for v := range tree.At(0).Items {
		got = append(got, v.Length(), len(v.Raw()))
	}
	if want := []int{longText - 1, longText - 1, longText, longText, longText + 5, longText + 5, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("the texts have %d bytes, want %d", got, want)
	}
	if n := tree.At(0).Length(); n != longText+20 {
		t.Errorf("the list has %d bytes", n)
	}
}
