package document

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

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

func TestParseNumber(t *testing.T) {
	for _, s := range []string{
		"0", "-0", "7", "-12", "999999999999999999", "-999999999999999999", "9007199254740993", "1234567890123456789", "1.5", "-2e-3", "+1", "-0.0", ".5", "5.", "007", "0.1", "0.000000000000001",
		"123456789.012345", "99999999999999.9", "0.0000000000000001", "9007199254740.993", "9007199254740.9931", "1234567890123456.5",
	} {
		want, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := ParseNumber(s); !ok || math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%s is %v (%t), want %v", s, got, ok, want)
		}
	}
	for _, s := range []string{"", "-", "--1", "1x", "NaN", "Inf", "0x1", "1_0", "1e999", " 1", ".", "-.", "1.2.3"} {
		if got, ok := ParseNumber(s); ok {
			t.Errorf("%q is %v, want none", s, got)
		}
	}
}

// TestDecimals checks that ParseNumber reads numbers with a decimal point in the same way as strconv.
func TestDecimals(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 10_000 {
		s := strconv.FormatUint(r.Uint64N(uint64(math.Pow10(1+r.IntN(18)))), 10)
		at := r.IntN(len(s) + 1)
		s = strings.Repeat("-", r.IntN(2)) + s[:at] + "." + s[at:]
		want, err := strconv.ParseFloat(s, 64)
		if got, ok := ParseNumber(s); !ok || err != nil || math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("%s is %v (%t), want %v", s, got, ok, want)
		}
	}
}
