package metric

import (
	"encoding"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestLabelSet(t *testing.T) {
	d := &Desc{LabelNames: []string{"zone", "b", "a"}, Const: []Label{{"m", "const"}, {"none", ""}}}
	values := []string{"z", "", "first"}
	set := d.LabelSet(values)
	values[0] = "changed"
	want := []Label{{"a", "first"}, {"m", "const"}, {"zone", "z"}}
	if diff := cmp.Diff(want, set.Append(nil)); diff != "" {
		t.Errorf("labels are sorted, copied and not empty (-want +got):\n%s", diff)
	}
	if got := set.Get("m") + "," + set.Get("none") + "," + set.Get("zone"); got != "const,,z" {
		t.Errorf("Get gives %s", got)
	}
	if got := (&Desc{}).LabelSet(nil); len(got.Append(nil)) != 0 || got.String() != "" {
		t.Errorf("a series without labels has %v", got)
	}
}

// TestLabelSetAllocations bounds what a new series costs.
func TestLabelSetAllocations(t *testing.T) {
	d := &Desc{LabelNames: []string{"a", "b", "c"}}
	values := []string{"one", "two", "three"}
	// The set and its text; what they are made from are two more.
	if n := testing.AllocsPerRun(100, func() { d.LabelSet(values) }); n > 4 {
		t.Errorf("a set costs %v allocations", n)
	}
}

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
		// The series' own line in the text format is read back by Prometheus' parser.
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

func TestReasonsDiffer(t *testing.T) {
	seen := map[Reason]bool{}
	for _, r := range Reasons() {
		if r == "" || seen[r] {
			t.Errorf("the reason %q is there twice, or says nothing", r)
		}
		seen[r] = true
	}
}

// TestWords holds that every value of an enumeration is read back from what it is written as.
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
	for v := DecreaseReset; v <= DecreaseError; v++ {
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
