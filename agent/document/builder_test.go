package document

import (
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestBuilder(t *testing.T) {
	var b Builder
	for range 2 { // the second document uses the memory of the first
		b.Reset(0, 0)
		b.Begin(Object)
		key := b.Keep([]byte("k"))
		b.TextAt(key)
		b.Begin(Array)
		for _, n := range []string{"1", "-007.50e+3", "+.5", "5."} {
			if !b.Number([]byte(n)) {
				t.Errorf("%s is not a number", n)
			}
		}
		b.Begin(Object)
		b.TextAt(key)
		b.Text([]byte("say \"é\"\n\x00\xff\\"))
		b.End()
		b.End()
		b.Text([]byte("z"))
		b.Literal(True)
		b.End()
		v, err := b.Value()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := v.Raw(), `{"k":[1,-7.50e+3,0.5,5,{"k":"say \"é\"\n\u0000`+"\ufffd"+`\\"}],"z":true}`; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if got := v.Get("k").Raw() + v.Get("z").Raw() + v.Get("none").Raw(); !strings.HasSuffix(got, "]truenull") {
			t.Errorf("got %s", got)
		}
	}
}

// TestRawIsBounded checks that the length of the JSON that Raw returns is bounded, even if many objects of a document share a long key.
func TestRawIsBounded(t *testing.T) {
	var b Builder
	b.Reset(0, 0)
	b.Begin(Array)
	long := b.Keep(make([]byte, 1<<20))
	for range 100_000 {
		b.Begin(Object)
		b.TextAt(long)
		b.Literal(Null)
		b.End()
	}
	b.End()
	v, err := b.Value()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(v.Raw()); n < maxRaw || n > 2*maxRaw {
		t.Errorf("%d bytes", n)
	}
	if n := v.Length(); n != 1<<20 {
		t.Errorf("%d bytes of text", n)
	}
	if clone := v.Clone(); len(clone.Raw()) < maxRaw {
		t.Error("a clone differs")
	}
}

func TestBuilderIsBounded(t *testing.T) {
	var b Builder
	b.Reset(0, 0)
	for range MaxDepth + 1 {
		b.Begin(Array)
	}
	for range MaxDepth + 1 {
		b.End()
	}
	if _, err := b.Value(); !errors.Is(err, ErrDepth) {
		t.Errorf("got %v", err)
	}
	b.Reset(0, 0)
	if v, err := b.Value(); err != nil || v.Kind() != Null {
		t.Errorf("got %v, %v", v, err)
	}
}

// FuzzNumber checks that a number becomes valid JSON with the same value and digits.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"0", "-0", "+1", "007", ".5", "5.", ".", "1e5", "1E+05", "1e", "5E5555555555", "-", "+-1", "1_0", "0x1", "123456789012345678901234567890.10", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var b Builder
		b.Reset(0, 0)
		ok := b.Number([]byte(text))
		want, known := new(big.Float).SetPrec(2000).SetString(text)
		decimal := text != "" && strings.Trim(text, "0123456789+-.eE") == ""
		_, exponent, _ := strings.Cut(strings.ToLower(text), "e")
		if ok != (known && decimal) && len(exponent) < 9 { // larger exponents may exceed those of big.Float
			t.Fatalf("%q is a number: %v", text, ok)
		}
		v, err := b.Value()
		if !ok || err != nil {
			return
		}
		if !json.Valid([]byte(v.Raw())) {
			t.Fatalf("%q is %q", text, v.Raw())
		}
		if got, read := new(big.Float).SetPrec(2000).SetString(v.Raw()); read && known && got.Cmp(want) != 0 {
			t.Errorf("%q is %q", text, v.Raw())
		}
	})
}

func TestParseLines(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   `[]`,
		"\n \r\n":                            `[]`,
		"1":                                  `[1]`,
		"{\"a\":\"\\n\"}\r\n\n[true] \n":     `[{"a":"\n"},[true]]`,
		"\x1e{\"a\":1}\n\x1e2\n":             `[{"a":1},2]`,
		"\x1e1\x1e2":                         `[1,2]`,
		"{}{}[] 1 2":                         `[{},{},[],1,2]`,
		"1\"a\"":                             "line 1: at byte 1: want a space or the end of the line",
		"{}\n{\"a\": \"x\n{}":                "line 2: cut short",
		"\n[1,\n2]\n":                        `[[1,2]]`,
		"\n[1,\n2":                           "line 2: cut short",
		"\x1e1\n\x1e2\n\x1ex":                "line 3: at byte 7: want a value",
		strings.Repeat("[", MaxDepth) + "\n": "line 1: nested more than 300 deep",
	} {
		v, err := new(Parser).ParseLines([]byte(text))
		got := v.Raw()
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%.30q: got %s, want %s", text, got, want)
		}
	}
}

// FuzzParseLines checks that ParseLines returns the same documents as encoding/json. Unlike ParseLines, encoding/json also allows a string
// directly after a number.
func FuzzParseLines(f *testing.F) {
	for _, s := range []string{"{\"a\":1}\n[2]\n", "\x1e1\n", "[\x1e]", "1\x1e2", "1 2\n", "\"\n\"", "\r\n\r", "null\n\n{", "[1,\n2]{}", "1\"a\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want []any
		broken := false
		for part := range strings.SplitSeq(text, "\x1e") { // a record separator may only stand between documents
			d := json.NewDecoder(strings.NewReader(part))
			d.UseNumber()
			for !broken {
				var v any
				err := d.Decode(&v)
				if errors.Is(err, io.EOF) {
					break
				}
				if broken = err != nil; !broken {
					want = append(want, v)
				}
			}
		}
		v, err := new(Parser).ParseLines([]byte(text))
		if broken && err == nil {
			t.Fatalf("%q is accepted", text)
		}
		if syntax, ok := errors.AsType[*SyntaxError](err); err != nil && !broken && !errors.Is(err, ErrDepth) &&
			!(ok && strings.HasPrefix(syntax.Want, "a space or")) && utf8.ValidString(text) && len(text) < maxNumber {
			t.Fatalf("%q: %v", text, err)
		}
		if got := v.JQ(); err == nil && len(want) > 0 && utf8.ValidString(text) && !reflect.DeepEqual(got, any(want)) {
			t.Errorf("got %v, want %v", got, want)
		}
		if err == nil && !json.Valid([]byte(v.Raw())) {
			t.Errorf("not JSON: %q", v.Raw())
		}
	})
}

// FuzzLenient checks that a lenient Parser reads JSON in the same way as a strict one. It also checks that everything that the lenient
// Parser accepts is written as JSON.
func FuzzLenient(f *testing.F) {
	for _, s := range []string{`{"a": [1, NaN, -Infinity,], // x` + "\n}", "/* */ 1", `["//", "/*"]`, "1 /", "[-Infinity]", "NaNa", "{\"a\":1,}", "[,]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		strict, strictErr := new(Parser).Parse([]byte(text))
		lenient, err := (&Parser{Lenient: true}).Parse([]byte(text))
		if strictErr == nil && (err != nil || !reflect.DeepEqual(strict.JQ(), lenient.JQ())) {
			t.Errorf("%q: %v, %v, want %v", text, lenient.JQ(), err, strict.JQ())
		}
		if err == nil && len(text) < maxRaw/2 && !json.Valid(lenient.AppendJSON(nil, maxRaw)) {
			t.Errorf("%q: not JSON: %s", text, lenient.Raw())
		}
	})
}

func TestABuiltDocumentHasABoundOnItsValues(t *testing.T) {
	var b Builder
	b.Reset(maxMade+1, 0)
	b.Begin(Array)
	for range maxMade - 1 {
		b.Literal(Null)
	}
	b.End()
	if _, err := b.Value(); err != nil {
		t.Fatal(err)
	}
	b.Literal(Null)
	if _, err := b.Value(); !errors.Is(err, ErrMany) {
		t.Errorf("one value more: %v", err)
	}
}
