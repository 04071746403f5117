package jq

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

const namedConfig = `
rule: {type: gauge, help: H., items: '.list[]?', name_from: .name, help_from: .help, value: .v, labels: {own: .own}, labels_from: .tags, max_names: 3}
again: {type: counter, items: '.list[]?', name_from: '"n_\(.name)_total"', value: .v}
fixed: {type: histogram, value: "1"}
`

// FuzzNamed checks every item: it must either become a reading of a metric with a valid name and valid labels, or be counted as left out.
// No two metrics may have the same name.
func FuzzNamed(f *testing.F) {
	for _, doc := range []string{
		`{"list": [{"name": "a", "help": "A.", "v": 1, "tags": {"x": "1", "own": "theirs"}}, {"name": "a", "v": 2}]}`,
		`{"list": [{"name": "fixed_sum", "v": 1}, {"name": "cton_a", "v": 1}, {"name": "a b", "v": 1}, {"name": 1}, {}, {"name": "n_a", "v": 1}]}`,
		`{"list": [{"name": "a", "v": 1, "tags": {"a.b": 1, "a_b": 2}}, {"name": "a", "v": 1, "tags": []}, {"name": "a", "v": 1, "tags": {"__name__": "x", "1": "é", "le": ""}}]}`,
		`{"list": [{"name": "a", "v": 1}, {"name": "b", "v": 1}, {"name": "c", "v": 1}, {"name": "d", "v": 1}]}`,
	} {
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		source := &fixed{text: doc}
		s, err := configOf(t, namedConfig).New(sources.Env{Fetch: source})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			readings, err := s.Collect(t.Context(), sources.Tick{})
			if err != nil {
				return
			}
			checkNamed(t, readings)
			source.text = strings.Replace(doc, `"a"`, `"z"`, 1)
		}
	})
}

func checkNamed(t *testing.T, readings metric.Readings) {
	t.Helper()
	used, elsewhere, rows, names := map[string]bool{}, 0, 0, 0
	for _, m := range readings {
		if m.ByName {
			elsewhere += m.Elsewhere
			continue
		}
		for _, name := range m.Desc.SeriesNames() {
			if used[name] {
				t.Errorf("two metrics use the name %s", name)
			}
			used[name] = true
		}
		if m.Desc.Name == "fixed" {
			continue
		}
		if names++; !model.LegacyValidation.IsValidMetricName(m.Desc.Name) || strings.HasPrefix(m.Desc.Name, "cton_") {
			t.Errorf("the name is %q", m.Desc.Name)
		}
		rows += len(m.Rows)
		for _, row := range m.Rows {
			last := ""
			for l := range m.Desc.LabelSet(row.Labels).All() {
				if !model.LegacyValidation.IsValidLabelName(l.Name) || strings.HasPrefix(l.Name, "__") || l.Name <= last || !model.LabelValue(l.Value).IsValid() {
					t.Errorf("a label of %s is %q=%q after %q", m.Desc.Name, l.Name, l.Value, last)
				}
				last = l.Name
			}
		}
	}
	if rows != elsewhere || names > 2*defaultNames+3 {
		t.Errorf("%d readings are of %d names, want %d", rows, names, elsewhere)
	}
}

// TestNamedMetricsOverTime checks several ticks. Each item becomes a reading or is counted as dropped. The same name in the next tick is
// the same metric. A name that is gone makes room for another one.
func TestNamedMetricsOverTime(t *testing.T) {
	source := &fixed{}
	s, err := configOf(t, `rule: {type: gauge, items: '.[]', name_from: '"n_" + .', value: "1", max_names: 2, expect: {min: 1}}`).New(sources.Env{Fetch: source})
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]*metric.Desc{}
	for i, tick := range []struct {
		doc, want string
		dropped   int
	}{
		{`["a", "b", "b"]`, "rule elsewhere 3; n_a 1; n_b 2; ", 0},
		{`["b", "c", "d", "d"]`, "rule elsewhere 2; n_b 1; n_c 1; ", 2},
		{`["d"]`, "rule elsewhere 1; n_d 1; ", 0},
		{`[]`, "rule elsewhere 0; ", 0},
		{`["a"]`, "rule elsewhere 1; n_a 1; ", 0},
		{`[1]`, `rule fails: no reading is valid: item 0 of .[]: name_from "n_" + .: cannot add: string ("n_") and number (1); n_a fails: no reading is valid: item 0 of .[]: name_from "n_" + .: cannot add: string ("n_") and number (1); `, 1},
		{`["a"]`, "rule elsewhere 1; n_a 1; ", 0},
	} {
		source.text = tick.doc
		readings, err := s.Collect(t.Context(), sources.Tick{})
		if err != nil {
			t.Fatal(err)
		}
		got, dropped := "", 0
		for _, m := range readings {
			for _, d := range m.Drops {
				dropped += d.Count
			}
			switch {
			case m.Err != nil:
				got += fmt.Sprintf("%s fails: %s; ", m.Desc.Name, m.Err)
			case m.ByName:
				got += fmt.Sprintf("%s elsewhere %d; ", m.Desc.Name, m.Elsewhere)
			default:
				got += fmt.Sprintf("%s %d; ", m.Desc.Name, len(m.Rows))
			}
			if i > 4 && !m.ByName && known[m.Desc.Name] != m.Desc {
				t.Errorf("tick %d: %s is another metric than before", i, m.Desc.Name)
			}
			known[m.Desc.Name] = m.Desc
		}
		if got != tick.want || dropped != tick.dropped {
			t.Errorf("tick %d: %s%d dropped, want %s%d dropped", i, got, dropped, tick.want, tick.dropped)
		}
	}
}

// TestLabelsFrom checks the labels that labels_from gives a reading in addition to those of the setting "labels". An object from the
// document and an object that the expression makes give the same labels. If an object has a wrong label, only its own reading is left out.
func TestLabelsFrom(t *testing.T) {
	for _, expression := range []string{".tags", ".tags | with_entries(.)? // ."} {
		config := fmt.Sprintf("m: {type: gauge, items: '.[]', value: '1', labels: {own: .own}, labels_from: '%s'}", expression)
		source := &fixed{}
		s, err := configOf(t, config).New(sources.Env{Fetch: source})
		if err != nil {
			t.Fatal(err)
		}
		for item, want := range map[string]string{
			`{"tags": {"zone": "north", "env": "prod"}}`:                `{env="prod",zone="north"}`,
			`{"tags": {"host.name": "a.b", "1st": true, "n": 2.5}}`:     `{_1st="true",host_name="a.b",n="2.5"}`,
			`{"own": "mine", "tags": {"own": "theirs", "env": "prod"}}`: `{env="prod",own="mine"}`,
			`{"own": "mine", "tags": {"none": null, "empty": ""}}`:      `{own="mine"}`,
			`{"own": "mine", "tags": null}`:                             `{own="mine"}`,
			`{"tags": {"env": "test", "env": "prod"}}`:                  `{env="prod"}`,
			`{"tags": {"env": "prod", "le": "1"}}`:                      `not_a_name: "le" cannot be the name of a label`,
			`{"tags": {"a.b": "1", "a_b": "2"}}`:                        `not_a_name: "a.b" and "a_b" both become the label a_b: leave one of them out`,
			`{"tags": {"env": []}}`:                                     `not_a_label: "env": want a string, got []`,
			`{"tags": "prod"}`:                                          `not_a_label: want an object, got "prod"`,
		} {
			source.text = `[{"own": "first", "tags": {"order": "1"}}, ` + item + `]`
			readings, err := s.Collect(t.Context(), sources.Tick{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, row := range readings[0].Rows {
				got = append(got, readings[0].Desc.LabelSet(row.Labels).String())
			}
			for _, d := range readings[0].Drops {
				_, why, _ := strings.Cut(d.First, "labels_from "+expression+": ")
				got = append(got, string(d.Reason)+": "+why)
			}
			if want := []string{`{order="1",own="first"}`, want}; !slices.Equal(got, want) {
				t.Errorf("labels_from %s: %s gives %q, want %q", expression, item, got, want)
			}
		}
	}
}
