package metric

import (
	"cmp"
	"strings"

	"github.com/prometheus/common/model"
)

// Label is a name and a value.
type Label struct{ Name, Value string }

// LabelSet is what tells a series from the others of its family: labels sorted by name, none empty, without the metric's
// name. It is made once for a series and never changed, and a series keeps it for as long as it lives, so that whoever
// remembers something of a series (its encoded labels) may know it again by the pointer.
type LabelSet struct{ Labels []Label }

func compareLabels(a, b Label) int { return cmp.Compare(a.Name, b.Name) }

// Get is the value of the label, "" where there is none.
func (s *LabelSet) Get(name string) string {
	for _, l := range s.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// String is the set as it stands in the text format: {a="1",b="2"}, or nothing for the empty set.
func (s *LabelSet) String() string {
	if len(s.Labels) == 0 {
		return ""
	}
	// The format escapes these three and nothing else.
	escape := strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	var b strings.Builder
	for i, l := range s.Labels {
		b.WriteByte("{,"[min(i, 1)])
		if model.LegacyValidation.IsValidLabelName(l.Name) {
			b.WriteString(l.Name)
		} else {
			b.WriteString(`"` + escape.Replace(l.Name) + `"`)
		}
		b.WriteString(`="` + escape.Replace(l.Value) + `"`)
	}
	b.WriteByte('}')
	return b.String()
}
