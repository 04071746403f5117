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

// form is where a value stands.
type form uint8

const (
	null    form = iota
	boolean      // bits: 1 or 0
	integer      // bits, as an int64
	float        // bits, as a finite float64
	text         // rest.text
	inDoc        // tree, and bits: a piece of the document
	made         // rest.data: what jq has made, and is none of these
	none         // nowhere: it is jq's empty
)

// value is a piece of the document, or what has been computed from one. The zero value is null. It has four fields of a
// word each, which is the most that the compiler keeps in registers.
type value struct {
	tree *document.Tree
	rest *rest
	bits uint64
	form form
}

// rest is what of a value takes more than a word.
type rest struct {
	text string
	data any
}

func ofDocument(v document.Value) value {
	tree, at := v.Position()
	return value{form: inDoc, tree: tree, bits: uint64(at)}
}

func (v value) doc() document.Value { return v.tree.At(uint32(v.bits)) }

func intValue(n int64) value { return value{form: integer, bits: uint64(n)} }

func textValue(s string) value { return value{form: text, rest: &rest{text: s}} }

func boolValue(is bool) value {
	if is {
		return value{form: boolean, bits: 1}
	}
	return value{form: boolean}
}

// floatValue is a value only of a finite number; what jq makes of others is its business.
func floatValue(f float64) (value, bool) {
	return value{form: float, bits: math.Float64bits(f)}, f-f == 0
}

// ofJQ is what gojq gives.
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
	return value{form: made, rest: &rest{data: data}}
}

// text is the characters of a value that is one.
func (v value) text() string {
	switch {
	case v.form == text:
		return v.rest.text
	case v.form == inDoc:
		return v.doc().Text()
	}
	return ""
}

func (v value) isText() bool { return v.rank() == text }

// rank is the value's form, and text of a text of the document. Smaller ones come first where jq orders values; those above
// text are jq's to order.
func (v value) rank() form {
	if v.form == inDoc && v.doc().Kind() == document.String {
		return text
	}
	return v.form
}

func (v value) int() int64 { return int64(v.bits) }

func (v value) float() float64 {
	if v.form == integer {
		return float64(v.int())
	}
	return math.Float64frombits(v.bits)
}

func (v value) isNumber() bool { return v.form == integer || v.form == float }

func (v value) isNull() bool {
	return v.form == null || v.form == inDoc && v.doc().Kind() == document.Null
}

// isTrue tells whether jq takes the value for true: everything is but false and null.
func (v value) isTrue() bool {
	switch v.form {
	case inDoc:
		return v.doc().Kind() > document.False
	case boolean:
		return v.bits != 0
	}
	return v.form != null
}

// jq is the value as gojq takes it. Numbers keep their digits.
func (v value) jq() any {
	switch v.form {
	case inDoc:
		return v.doc().JQ()
	case boolean:
		return v.isTrue()
	case integer:
		if n := v.int(); int64(int(n)) == n {
			return int(n)
		}
		return big.NewInt(v.int()) // where an int has 32 bits
	case float:
		return v.float()
	case text:
		return v.text()
	case made:
		return v.rest.data
	}
	return nil
}

// number is the value as a number: a number, true (1) or false (0), or a text that is a number and nothing else.
func (v value) number() (float64, bool) {
	switch v.form {
	case inDoc:
		return v.doc().Number()
	case integer, float:
		return v.float(), true
	case boolean:
		return float64(v.bits), true
	case text:
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

// label is the value as a label's value: a text, the digits of a number, true or false. The text may point into the
// document.
func (v value) label() (string, bool) {
	switch v.form {
	case inDoc:
		return v.doc().Label()
	case integer:
		return strconv.FormatInt(v.int(), 10), true
	case text:
		return v.text(), true
	}
	switch x := v.jq().(type) {
	case bool, *big.Int, json.Number, float64:
		if f, ok := x.(float64); ok && f-f != 0 {
			return "", false // jq writes NaN and infinities as something else
		}
		text, err := gojq.Marshal(x)
		return string(text), err == nil
	}
	return "", false
}

// id is the value as an event's id: a label's text, or the JSON text of a list or object.
func (v value) id() (string, bool) {
	if text, ok := v.label(); ok {
		return text, true
	}
	text, err := gojq.Marshal(v.jq())
	return string(text), err == nil
}

// preview is the value in a few words for a message.
func (v value) preview() string { return gojq.Preview(v.jq()) }

// describe is a value of the document in a few words for a message.
func describe(v document.Value) string {
	switch v.Kind() {
	case document.String:
		return fmt.Sprintf("the text %.20q", v.Text())
	case document.Array, document.Object, document.Null:
		return v.Kind().String()
	}
	return v.Raw()
}
