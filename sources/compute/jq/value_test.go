package jq

import (
	"reflect"
	"testing"
	"time"

	"github.com/collectington/collectington/sources"
)

// TestAValueFitsRegisters checks that the compiler can keep a value in registers. The compiler cannot do so for a structure of more than
// four words or fields, and evaluation would then take twice the time.
func TestAValueFitsRegisters(t *testing.T) {
	if v := reflect.TypeFor[value](); v.NumField() > 4 || v.Size() > 4*8 {
		t.Errorf("a value has %d fields and %d bytes", v.NumField(), v.Size())
	}
}

// TestStringsBeyondTheirBound checks that gojq makes the strings when the evaluator has no room for more.
func TestStringsBeyondTheirBound(t *testing.T) {
	m := &evaluator{boxes: make([]box, maxBoxes)}
	m.variables = evaluatorAt(time.Now()).variables
	var p sources.Parser
	doc, err := p.JSON("", []byte("7"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := exprOf(t, "tostring").evalOne(t.Context(), m, &item{value: ofDocument(doc.Root)})
	if text, ok := v.label(); err != nil || !ok || text != "7" || len(m.boxes) != maxBoxes {
		t.Errorf("got %q, %v; there are %d strings", text, err, len(m.boxes))
	}
}
