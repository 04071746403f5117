package metric

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMoreLabels(t *testing.T) {
	d := &Desc{Name: "m", LabelNames: []string{"zone", MoreLabels}, Const: []Label{{"site", "oslo"}}}
	packed := PackLabels([]Label{{"zone", "other"}, {"a", "1"}, {"empty", ""}, {"site", "bergen"}})
	for zone, want := range map[string]string{
		"b": `{a="1",site="oslo",zone="b"}`,
		"":  `{a="1",site="oslo",zone="other"}`,
	} {
		if got := d.LabelSet([]string{zone, packed}).String(); got != want {
			t.Errorf("zone %q: %s, want %s", zone, got, want)
		}
	}
	if got := MergePacked(PackLabels([]Label{{"b", "own"}}), PackLabels([]Label{{"a", "1"}, {"b", "2"}})); got != PackLabels([]Label{{"a", "1"}, {"b", "own"}}) {
		t.Errorf("merged: %q", got)
	}
}

func FuzzPackLabels(f *testing.F) {
	f.Add("a=1,b=2")
	f.Add("b=,a=é")
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		var labels []Label
		for pair := range strings.SplitSeq(text, ",") {
			name, value, _ := strings.Cut(pair, "=")
			if name != "" && value != "" && !slices.ContainsFunc(labels, func(l Label) bool { return l.Name == name }) {
				labels = append(labels, Label{name, value})
			}
		}
		packed := PackLabels(labels)
		slices.SortFunc(labels, compareLabels)
		if got := UnpackLabels(nil, packed); !slices.Equal(got, labels) {
			t.Errorf("%q becomes %q", labels, got)
		}
		slices.Reverse(labels)
		if PackLabels(labels) != packed {
			t.Error("another order is another text")
		}
	})
}

// FuzzMergePacked checks that two packed texts merge to the packed text of the merged labels.
func FuzzMergePacked(f *testing.F) {
	f.Add("a=1,b=2", "b=3,c=4")
	f.Add("", "x=1")
	f.Add("a=1,a.b=2", "a_b=1,aa=2")
	f.Fuzz(func(t *testing.T, first, second string) {
		parse := func(text string) (labels []Label) {
			for pair := range strings.SplitSeq(text, ",") {
				name, value, _ := strings.Cut(pair, "=")
				if utf8.ValidString(pair) && name != "" && value != "" && !slices.ContainsFunc(labels, func(l Label) bool { return l.Name == name }) {
					labels = append(labels, Label{name, value})
				}
			}
			return labels
		}
		one, two := PackLabels(parse(first)), PackLabels(parse(second))
		got, want := MergePacked(one, two), PackLabels(mergeLabels(UnpackLabels(nil, one), UnpackLabels(nil, two)))
		if got != want {
			t.Errorf("%q and %q become %q, want %q", one, two, got, want)
		}
	})
}

func BenchmarkMergePacked(b *testing.B) {
	own := PackLabels([]Label{{"app", "shop"}, {"tier", "web"}, {"zone", "eu"}})
	target := PackLabels([]Label{{"instance", "10.0.0.1:80"}, {"job", "j"}})
	b.ReportAllocs()
	for b.Loop() {
		MergePacked(own, target)
	}
}
