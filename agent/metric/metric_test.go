package metric

import (
	"bytes"
	"encoding"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// TestLabelSet checks that a set is sorted, copied and without empty labels.
func TestLabelSet(t *testing.T) {
	d := &Desc{LabelNames: []string{"zone", "b", "a"}, Const: []Label{{"m", "const"}, {"none", ""}}}
	values := []string{"z", "", "first"}
	set := d.LabelSet(values)
	values[0] = "changed"
	want := []Label{{"a", "first"}, {"m", "const"}, {"zone", "z"}}
	if diff := cmp.Diff(want, set.Append(nil)); diff != "" {
		t.Errorf("other labels (-want +got):\n%s", diff)
	}
	if got := set.Get("m") + "," + set.Get("none") + "," + set.Get("zone"); got != "const,,z" {
		t.Errorf("Get returns %s", got)
	}
	if got := (&Desc{}).LabelSet(nil); len(got.Append(nil)) != 0 || got.String() != "" {
		t.Errorf("a series without labels has %v", got)
	}
}

// TestLabelSetMap checks that the map of a set has the set's labels. The map of the empty set is nil.
func TestLabelSetMap(t *testing.T) {
	set := NewLabelSet(Labels{{"a", "1"}, {"b", "x=y"}})
	if got, want := set.Map(), map[string]string{"a": "1", "b": "x=y"}; !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	var none *LabelSet
	if got := none.Map(); got != nil {
		t.Errorf("the empty set is %q, want nil", got)
	}
}

// TestLabelSetAllocations checks that a new set needs few allocations.
func TestLabelSetAllocations(t *testing.T) {
	d := &Desc{LabelNames: []string{"a", "b", "c"}}
	values := []string{"one", "two", "three"}
	// The set and its text, and two for sorting.
	if n := testing.AllocsPerRun(100, func() { d.LabelSet(values) }); n > 4 {
		t.Errorf("a set costs %v allocations", n)
	}
}

// TestLabelSetEquality checks, with random sets of similar and long labels, that sets are equal if and only if their labels are equal: by
// Equal, by Is and as encoded bytes. It also checks that the labels can be read back.
func TestLabelSetEquality(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	words := []string{"a", "b", "ab", "\x01a", "a\x01", "", strings.Repeat("l", 127), strings.Repeat("l", 128), strings.Repeat("x", 70_000)}
	random := func() Labels {
		var all Labels
		for _, name := range []string{"a", "ab", "b"} {
			if v := words[dice.IntN(len(words))]; v != "" && dice.IntN(2) == 0 {
				all = append(all, Label{name, v})
			}
		}
		return all
	}
	encode := func(labels Labels) (b []byte) {
		for _, l := range labels {
			b = AppendLabel(b, l.Name, l.Value)
		}
		return b
	}
	same := 0
	for range 5000 {
		a, b := random(), random()
		x, y := NewLabelSet(a), LabelSetOf(encode(b))
		if !slices.Equal(x.Append(nil), a) || !slices.Equal(y.Append(nil), b) {
			t.Fatalf("%.100q and %.100q are read as %.100q and %.100q", a, b, x, y)
		}
		equal := slices.Equal(a, b)
		if x.Equal(y) != equal || y.Equal(x) != equal || x.Is(encode(b)) != equal || bytes.Equal(encode(a), encode(b)) != equal {
			t.Fatalf("%.100q and %.100q: equal is not %t", a, b, equal)
		}
		if equal {
			same++
		}
	}
	if same < 50 {
		t.Errorf("only %d equal pairs", same)
	}
}

// TestNilLabelSetIsEmpty checks that a nil *LabelSet can be used as the empty set.
func TestNilLabelSetIsEmpty(t *testing.T) {
	var none *LabelSet
	if none.String() != "" || none.Get("a") != "" || len(none.Append(nil)) > 0 || !none.Is(nil) || !none.Equal(&LabelSet{}) || !(&LabelSet{}).Equal(none) {
		t.Errorf("nil is not the empty set: %q", none)
	}
	if none.Equal(NewLabelSet(Labels{{"a", "1"}})) {
		t.Error("nil equals a set with a label")
	}
}

// FuzzLabelSetString checks that Prometheus' parser of the text format reads a set from its text.
func FuzzLabelSetString(f *testing.F) {
	f.Add("a", "1", "b", "2")
	f.Add("a.b", "x\ny", "ü", `"quoted\"`)
	f.Add("le", "", "_", "tab\tnul\x00")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		set := NewLabelSet([]Label{{name1, value1}, {name2, value2}})
		for l := range set.All() {
			if l.Name == "" || !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) || l.Name == "__name__" {
				t.Skip("no label")
			}
		}
		if name1 == name2 {
			t.Skip("no set")
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader("up" + set.String() + " 1\n"))
		if err != nil {
			t.Fatalf("%s: %v", set, err)
		}
		got := families["up"].Metric[0].Label
		for i, l := range set.Append(nil) {
			if got[i].GetName() != l.Name || got[i].GetValue() != l.Value {
				t.Errorf("%s is read as %v", set, got)
			}
		}
	})
}

// TestAccumulates checks for which metrics the ledger keeps running totals.
func TestAccumulates(t *testing.T) {
	for _, c := range []struct {
		d    Desc
		want bool
	}{
		{Desc{Type: Gauge}, false},
		{Desc{Type: Gauge, Delta: true}, false},
		{Desc{Type: Unknown, From: Events}, false},
		{Desc{Type: Counter, From: Total}, false},
		{Desc{Type: Counter, From: Increment}, true},
		{Desc{Type: Counter, From: Events}, true},
		{Desc{Type: Histogram}, true},
		{Desc{Type: Summary}, true},
	} {
		if got := c.d.Accumulates(); got != c.want {
			t.Errorf("%v from %v accumulates: %t", c.d.Type, c.d.From, got)
		}
	}
}

func TestBatchSeries(t *testing.T) {
	b := Batch{Families: []Family{{Series: make([]Series, 3)}, {}, {Series: make([]Series, 2)}}}
	if got := b.Series(); got != 5 {
		t.Errorf("counts %d series, want 5", got)
	}
}

// TestWords checks enumerations that are values of settings. Their values are read from texts, and other texts are refused.
func TestWords(t *testing.T) {
	read := func(into encoding.TextUnmarshaler, value fmt.Stringer) {
		t.Helper()
		if err := into.UnmarshalText([]byte(value.String())); err != nil {
			t.Errorf("%s: %v", value, err)
		} else if got := fmt.Sprint(into); !strings.Contains(got, value.String()) {
			t.Errorf("%s is read as %s", value, got)
		}
	}
	for v := Gauge; v <= Summary; v++ {
		read(new(Type), v)
	}
	for v := Total; v <= Events; v++ {
		read(new(From), v)
	}
	for v := DecreaseReset; v <= DecreaseAdd; v++ {
		read(new(OnDecrease), v)
	}
	for v := DuplicateError; v <= DuplicateCount; v++ {
		read(new(OnDuplicate), v)
	}
	var kind Type
	for _, wrong := range []string{"unknown", "Gauge", "", "gauge "} {
		if err := kind.UnmarshalText([]byte(wrong)); err == nil || err.Error() != "want gauge, counter, histogram or summary" {
			t.Errorf("%q gives %v", wrong, err)
		}
	}
}
