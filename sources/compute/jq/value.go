package jq

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
)

// form is the representation of a value.
type form uint8

const (
	formNull   form = iota
	formBool        // bits: 1 or 0
	formInt         // bits, as an int64
	formFloat       // bits, as a finite float64
	formString      // box.text
	formDoc         // tree, and in bits the position in the document
	formOther       // box.data: any other result of gojq
	formEmpty       // no value: jq's empty
)

// value is a value of the document, or a computed one. The zero value is null. It has four fields of a word each, which is
// the most that the compiler keeps in registers.
type value struct {
	tree *document.Tree
	box  *box
	bits uint64
	form form
}

// box has the part of a value that does not fit in a word.
type box struct {
	text string
	data any
}

func ofDocument(v document.Value) value {
	tree, at := v.Position()
	return value{form: formDoc, tree: tree, bits: uint64(at)}
}

func (v value) doc() document.Value { return v.tree.At(uint32(v.bits)) }

func intValue(n int64) value { return value{form: formInt, bits: uint64(n)} }

func textValue(s string) value { return value{form: formString, box: &box{text: s}} }

func boolValue(is bool) value {
	if is {
		return value{form: formBool, bits: 1}
	}
	return value{form: formBool}
}

// floatValue returns a finite float as a value. NaN and infinities are left to gojq.
func floatValue(f float64) (value, bool) {
	return value{form: formFloat, bits: math.Float64bits(f)}, f-f == 0
}

// ofJQ returns a result of gojq as a value.
func ofJQ(data any) value {
	switch x := data.(type) {
	case nil:
		return value{}
	case bool:
		return boolValue(x)
	case int:
		return intValue(int64(x))
	case float64:
		if v, ok := floatValue(x); ok {
			return v
		}
	case string:
		return textValue(x)
	}
	return value{form: formOther, box: &box{data: data}}
}

// text returns the characters of a string, and "" for any other value.
func (v value) text() string {
	switch {
	case v.form == formString:
		return v.box.text
	case v.form == formDoc:
		return v.doc().Text()
	}
	return ""
}

func (v value) isText() bool { return v.rank() == formString }

// rank returns the value's form, formString for a string of the document. Smaller ones come first in jq's order. Those above
// formString are left to gojq.
func (v value) rank() form {
	if v.form == formDoc && v.doc().Kind() == document.String {
		return formString
	}
	return v.form
}

func (v value) int() int64 { return int64(v.bits) }

func (v value) float() float64 {
	if v.form == formInt {
		return float64(v.int())
	}
	return math.Float64frombits(v.bits)
}

func (v value) isNumber() bool { return v.form == formInt || v.form == formFloat }

func (v value) isNull() bool {
	return v.form == formNull || v.form == formDoc && v.doc().Kind() == document.Null
}

// isTrue reports whether the value counts as true: all but false and null do.
func (v value) isTrue() bool {
	switch v.form {
	case formDoc:
		return v.doc().Kind() > document.False
	case formBool:
		return v.bits != 0
	}
	return v.form != formNull
}

// jq returns the value as gojq takes it. Numbers keep their digits.
func (v value) jq() any {
	switch v.form {
	case formDoc:
		return v.doc().JQ()
	case formBool:
		return v.isTrue()
	case formInt:
		if n := v.int(); int64(int(n)) == n {
			return int(n)
		}
		return big.NewInt(v.int()) // an int of 32 bits
	case formFloat:
		return v.float()
	case formString:
		return v.text()
	case formOther:
		return v.box.data
	}
	return nil
}

// number returns the number that the value stands for: a number, true (1), false (0), or a string that is a number.
func (v value) number() (float64, bool) {
	switch v.form {
	case formDoc:
		return v.doc().Number()
	case formInt, formFloat:
		return v.float(), true
	case formBool:
		return float64(v.bits), true
	case formString:
		return document.ParseNumber(v.text())
	}
	switch x := v.jq().(type) {
	case *big.Int:
		f, _ := new(big.Float).SetInt(x).Float64()
		return f, f-f == 0
	case json.Number:
		return document.ParseNumber(string(x))
	}
	return 0, false
}

// label returns the label value that the value stands for: a string, the digits of a number, true or false. It may point
// into the document.
func (v value) label() (string, bool) {
	switch v.form {
	case formDoc:
		return v.doc().Label()
	case formInt:
		return strconv.FormatInt(v.int(), 10), true
	case formString:
		return v.text(), true
	}
	switch x := v.jq().(type) {
	case bool, *big.Int, json.Number, float64:
		if f, ok := x.(float64); ok && f-f != 0 {
			return "", false // jq writes NaN and infinities as other numbers
		}
		text, err := gojq.Marshal(x)
		return string(text), err == nil
	}
	return "", false
}

// id returns the event id that the value stands for: that of a label, or the JSON of a list or object.
func (v value) id() (string, bool) {
	if text, ok := v.label(); ok {
		return text, true
	}
	text, err := gojq.Marshal(v.jq())
	return string(text), err == nil
}

// preview returns the beginning of the value as JSON, for messages.
func (v value) preview() string { return gojq.Preview(v.jq()) }

// describe returns a few words about a value of the document, for messages.
func describe(v document.Value) string {
	switch v.Kind() {
	case document.String:
		return fmt.Sprintf("the string %.20q", v.Text())
	case document.Array, document.Object, document.Null:
		return v.Kind().String()
	}
	return v.Raw()
}
