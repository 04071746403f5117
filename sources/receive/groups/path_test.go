package groups

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/metric"
)

// TestParsePath has the cases of the Pushgateway's own tests, and more.
func TestParsePath(t *testing.T) {
	for _, c := range []struct {
		path string
		utf8 bool
		want string // the labels, or an error
	}{
		{"job/j", false, `{job="j"}`},
		{"/job/j/", false, `{job="j"}`},
		{"job/j/label_name1/label_value1/label_name2/label_value2", false, `{job="j",label_name1="label_value1",label_name2="label_value2"}`},
		{"job@base64/dGVzdC9qb2I=", false, `{job="test/job"}`},
		{"job@base64/dGVzdC9qb2I", false, `{job="test/job"}`},
		{"job@base64/dGVzdC9qb2I=/instance@base64/dGVzdGluc3RhbmNl", false, `{instance="testinstance",job="test/job"}`},
		{"job/j/a@base64/bGFiZWwvdmFsdWUx/b/label_value2", false, `{a="label/value1",b="label_value2",job="j"}`},
		{"job/j/a/v1/b@base64/bGFiZWwvdmFsdWUy==", false, `{a="v1",b="label/value2",job="j"}`},
		{"job/j/a@base64/=", false, `{a="",job="j"}`},
		{"job/j/a/", false, `{a="",job="j"}`},
		{"job/j/a/x/a/y", false, `{a="y",job="j"}`},
		{"job/j/job/other", false, `{job="j"}`},
		{"job/j/label_name1/v/U__label_2e_name2/w", false, `{U__label_2e_name2="w",job="j",label_name1="v"}`},
		{"job/j/label_name1/v/U__label_2e_name2/w", true, `{job="j","label.name2"="w",label_name1="v"}`},
		{"job/j/a@base64/bGFiZWwvdmFsdWUx/U__label_2e_name2@base64/bGFiZWwvdmFsdWUy", true, `{a="label/value1",job="j","label.name2"="label/value2"}`},

		{"job", false, "job name is required"},
		{"job/", false, "job name is required"},
		{"job@base64/=", false, "job name is required"},
		{"job/j/a/v/a=b/w", false, `improper label name "a=b"`},
		{"job/j/a/v/__label_name2/w", false, `improper label name "__label_name2"`},
		{"job/j/U______name____/w", true, `improper label name "U______name____"`},
		{"job/j/a/v/b/label/value2", false, `odd number of components in label string "a/v/b/label/value2"`},
		{"job/j/a@base64/foo.bar/b/w", false, `invalid base64 encoding for label a="foo.bar"`},
		{"job@base64/foo.bar", false, `invalid base64 encoding in job name "foo.bar"`},
		{"job@base64/_w", false, `the value of label "job" is not UTF-8`},
		{"instance/x", false, "the path of a group begins with /metrics/job/NAME"},
		{"", false, "the path of a group begins with /metrics/job/NAME"},
		{"job/j" + strings.Repeat("/a/b", 65), false, "a group can have at most 64 labels"},
	} {
		scheme := model.LegacyValidation
		if c.utf8 {
			scheme = model.UTF8Validation
		}
		labels, err := ParsePath(c.path, scheme)
		got := metric.Labels(labels).String()
		if err != nil {
			got = err.Error()
		}
		if got != c.want && (err == nil || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s: %s, want %s", c.path, got, c.want)
		}
	}
}

// FuzzParsePath checks that labels are sorted and valid, and that a path with the same labels in base64 names the same group.
func FuzzParsePath(f *testing.F) {
	for _, path := range []string{"job/j", "job@base64/YQ==/a@base64/=", "job/j/U__a_2e_b/c", "/job//a/b", "job/j/__x/y", "job/a/b/c/b/d"} {
		f.Add(path, true)
	}
	f.Fuzz(func(t *testing.T, path string, utf8 bool) {
		scheme := model.LegacyValidation
		if utf8 {
			scheme = model.UTF8Validation
		}
		labels, err := ParsePath(path, scheme)
		if err != nil {
			return
		}
		if !slices.IsSortedFunc(labels, byName) {
			t.Fatalf("%q is not sorted", labels)
		}
		encode := base64.URLEncoding.EncodeToString
		for _, l := range labels {
			if !scheme.IsValidLabelName(l.Name) || strings.HasPrefix(l.Name, "__") {
				t.Fatalf("the label name %q is not valid", l.Name)
			}
		}
		// The job comes first.
		text := "job@base64/" + encode([]byte(metric.Labels(labels).Get("job")))
		for _, l := range labels {
			if l.Name != "job" {
				name := l.Name
				if utf8 {
					name = model.EscapeName(l.Name, model.ValueEncodingEscaping)
				}
				text += "/" + name + "@base64/" + encode([]byte(l.Value)) + "="
			}
		}
		same, err := ParsePath(text, scheme)
		if err != nil || keyOf(same) != keyOf(labels) {
			t.Fatalf("%q gives %q; %q gives %q, %v", path, labels, text, same, err)
		}
	})
}
