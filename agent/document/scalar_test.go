package document

import "testing"

func TestNumberAndLabel(t *testing.T) {
	for text, want := range map[string]struct {
		number   float64
		isNumber bool
		label    string
		isLabel  bool
	}{
		`12.50`:    {12.5, true, "12.50", true},
		`true`:     {1, true, "true", true},
		`false`:    {0, true, "false", true},
		`"7"`:      {7, true, "7", true},
		`"0x7"`:    {0, false, "0x7", true},
		`""`:       {0, false, "", true},
		`1e999`:    {0, false, "1e999", true},
		`null`:     {0, false, "", false},
		`[1]`:      {0, false, "", false},
		`{}`:       {0, false, "", false},
		`"\u00e9"`: {0, false, "é", true},
	} {
		v := parsed(t, text)
		if n, ok := v.Number(); ok != want.isNumber || ok && n != want.number {
			t.Errorf("%s is the number %v, %t", text, n, ok)
		}
		if label, ok := v.Label(); label != want.label || ok != want.isLabel {
			t.Errorf("%s is the label %q, %t", text, label, ok)
		}
	}
}
