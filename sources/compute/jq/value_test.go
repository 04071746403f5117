package jq

import (
	"reflect"
	"testing"
	"time"

	"github.com/collectington/collectington/sources"
)

// TestAValueFitsRegisters holds that the compiler can keep a value in registers: it gives up on structures of more than four
// words or fields, and then rules take twice the time.
func TestAValueFitsRegisters(t *testing.T) {
	if v := reflect.TypeFor[value](); v.NumField() > 4 || v.Size() > 4*8 {
		t.Errorf("a value has %d fields and %d bytes", v.NumField(), v.Size())
	}
}

// TestTextsBeyondTheirBound holds that jq makes them then.
func TestTextsBeyondTheirBound(t *testing.T) {
	m := &machine{rests: make([]rest, maxRests)}
	m.variables = machineAt(time.Now()).variables
	var p sources.Parser
	doc, err := p.JSON("", []byte("7"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := exprOf(t, "tostring").one(t.Context(), m, &item{value: ofDocument(doc.Root)})
	if text, ok := v.label(); err != nil || !ok || text != "7" || len(m.rests) != maxRests {
		t.Errorf("got %q, %v; there are %d texts", text, err, len(m.rests))
	}
}
