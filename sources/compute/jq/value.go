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

// form says how a value is represented.
type form uint8

const (
	formNull   form = iota
	formBool        // in bits: 1 or 0
	formInt         // in bits, as an int64
	formFloat       // in bits, as a finite float64
	formString      // in box.text
	formDoc         // in tree, with the position in bits
	formOther       // in box.data: any other result of gojq
	formEmpty       // no value, like jq's empty
)

// value is a value of the document, or a computed value. The zero value is null. It has four fields of one word each; the compiler
// would not keep more fields in registers.
type value struct {
	tree *document.Tree
	box  *box
	bits uint64
	form form
}

// box holds the part of a value that does not fit into a word.
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

// floatValue converts a finite float to a value. NaN and infinities are left to gojq.
func floatValue(f float64) (value, bool) {
	return value{form: formFloat, bits: math.Float64bits(f)}, f-f == 0
}

// ofJQ converts a result of gojq to a value.
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

// text returns the characters of a string, or "" for any other value.
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

// rank returns the value's form, but formString for a string of the document. Values with smaller ranks come first in jq's order.
// Comparisons of values with ranks above formString are left to gojq.
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

// isTrue reports whether a condition with this value is true: only false and null are not true.
func (v value) isTrue() bool {
	switch v.form {
	case formDoc:
		return v.doc().Kind() > document.False
	case formBool:
		return v.bits != 0
	}
	return v.form != formNull
}

// jq converts the value to a value of gojq. Numbers keep all their digits.
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
		return big.NewInt(v.int()) // on a platform on which int has 32 bits
	case formFloat:
		return v.float()
	case formString:
		return v.text()
	case formOther:
		return v.box.data
	}
	return nil
}

// number converts the value to a number: a number, true (1), false (0), or a string that is a number.
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

// label converts the value to a label value: the text of a string, the digits of a number, true or false. The result may point into
// the document.
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
			return "", false // not a label, since jq writes NaN and infinities as other numbers
		}
		text, err := gojq.Marshal(x)
		return string(text), err == nil
	}
	return "", false
}

// id converts the value to an event ID: the result of label, or the JSON of a list or object.
func (v value) id() (string, bool) {
	if text, ok := v.label(); ok {
		return text, true
	}
	text, err := gojq.Marshal(v.jq())
	return string(text), err == nil
}

// preview returns the beginning of the value as JSON. It is for messages.
func (v value) preview() string { return gojq.Preview(v.jq()) }

// describe describes a value of the document in a few words. It is for messages.
func describe(v document.Value) string {
	switch v.Kind() {
	case document.String:
		return fmt.Sprintf("the string %.20q", v.Text())
	case document.Array, document.Object, document.Null:
		return v.Kind().String()
	}
	return v.Raw()
}
