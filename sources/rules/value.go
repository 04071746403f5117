package rules

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/itchyny/gojq"
	"github.com/valyala/fastjson"
)

// value is a piece of the document (doc), or what jq has made of one (data, where doc is nil).
type value struct {
	doc  *fastjson.Value
	data any
}

// null stands for what is not there.
var null = fastjson.MustParse("null")

func (v value) isNull() bool {
	if v.doc != nil {
		return v.doc.Type() == fastjson.TypeNull
	}
	return v.data == nil
}

// jq is the value as gojq takes it. Numbers keep their digits.
func (v value) jq() any {
	if v.doc != nil {
		return toJQ(v.doc)
	}
	return v.data
}

func toJQ(v *fastjson.Value) any {
	switch v.Type() {
	case fastjson.TypeObject:
		object, _ := v.Object()
		m := make(map[string]any, object.Len())
		object.Visit(func(key []byte, member *fastjson.Value) { m[string(key)] = toJQ(member) })
		return m
	case fastjson.TypeArray:
		items, _ := v.Array()
		list := make([]any, len(items))
		for i, item := range items {
			list[i] = toJQ(item)
		}
		return list
	case fastjson.TypeString:
		return string(v.GetStringBytes())
	case fastjson.TypeNumber:
		return json.Number(v.MarshalTo(nil))
	case fastjson.TypeTrue:
		return true
	case fastjson.TypeFalse:
		return false
	}
	return nil
}

// sortedMembers yields an object's values in the order of their keys, each key once.
func sortedMembers(v *fastjson.Value, yield func(value) error) error {
	byKey := map[string]*fastjson.Value{}
	object, _ := v.Object()
	object.Visit(func(key []byte, member *fastjson.Value) { byKey[string(key)] = member })
	keys := make([]string, 0, len(byKey))
	for key := range byKey {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if err := yield(value{doc: byKey[key]}); err != nil {
			return err
		}
	}
	return nil
}

// number is the value as a number: a number, true (1) or false (0), or a text that is a number and nothing else.
func (v value) number(scratch []byte) (float64, bool) {
	if v.doc != nil {
		switch v.doc.Type() {
		case fastjson.TypeNumber:
			return parseNumber(view(v.doc.MarshalTo(scratch[:0])))
		case fastjson.TypeString:
			return parseNumber(view(v.doc.GetStringBytes()))
		case fastjson.TypeTrue:
			return 1, true
		case fastjson.TypeFalse:
			return 0, true
		}
		return 0, false
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
		return parseNumber(string(x))
	case string:
		return parseNumber(x)
	case bool:
		if x {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// parseNumber reads a decimal number; words such as NaN or 0x10, which strconv knows too, are none.
func parseNumber(s string) (float64, bool) {
	if s == "" || strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// label is the value as a label's value: a text, the digits of a number, true or false. The text may point into the
// document.
func (v value) label() (string, bool) {
	if v.doc != nil {
		switch v.doc.Type() {
		case fastjson.TypeString:
			return view(v.doc.GetStringBytes()), true
		case fastjson.TypeNumber, fastjson.TypeTrue, fastjson.TypeFalse:
			return string(v.doc.MarshalTo(nil)), true
		}
		return "", false
	}
	switch x := v.data.(type) {
	case string:
		return x, true
	case bool, int, float64, *big.Int, json.Number:
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

func typeName(v *fastjson.Value) string {
	switch v.Type() {
	case fastjson.TypeObject:
		return "an object"
	case fastjson.TypeArray:
		return "a list"
	case fastjson.TypeString:
		return fmt.Sprintf("the text %.20q", v.GetStringBytes())
	case fastjson.TypeNull:
		return "null"
	}
	return v.String()
}

// view is the bytes as a string without a copy, valid as long as they are.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
