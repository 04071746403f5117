package rules

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
)

// value is a piece of the document (doc), or what jq has made of one (data).
type value struct {
	doc   document.Value
	inDoc bool
	data  any
}

func ofDocument(v document.Value) value { return value{doc: v, inDoc: true} }

func (v value) isNull() bool {
	if v.inDoc {
		return v.doc.Kind() == document.Null
	}
	return v.data == nil
}

// jq is the value as gojq takes it. Numbers keep their digits.
func (v value) jq() any {
	if v.inDoc {
		return v.doc.JQ()
	}
	return v.data
}

// sortedMembers yields an object's values in the order of their keys, each key once.
func sortedMembers(v document.Value, yield func(value) error) error {
	byKey := map[string]document.Value{}
	for key, member := range v.Members {
		byKey[key] = member
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		if err := yield(ofDocument(byKey[key])); err != nil {
			return err
		}
	}
	return nil
}

// number is the value as a number: a number, true (1) or false (0), or a text that is a number and nothing else.
func (v value) number() (float64, bool) {
	if v.inDoc {
		return v.doc.Number()
	}
	switch x := v.data.(type) {
	case int:
		return float64(x), true
	case float64:
		return x, x-x == 0
	case *big.Int:
		f, _ := new(big.Float).SetInt(x).Float64()
		return f, f-f == 0
	case json.Number:
		return document.ParseNumber(string(x))
	case string:
		return document.ParseNumber(x)
	case bool:
		if x {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// label is the value as a label's value: a text, the digits of a number, true or false. The text may point into the
// document.
func (v value) label() (string, bool) {
	if v.inDoc {
		return v.doc.Label()
	}
	switch x := v.data.(type) {
	case string:
		return x, true
	case float64:
		text, err := gojq.Marshal(x)
		return string(text), err == nil && x-x == 0 // jq writes NaN and infinities as something else
	case bool, int, *big.Int, json.Number:
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
