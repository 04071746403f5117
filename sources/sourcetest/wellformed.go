package sourcetest

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// declared returns the metrics that the settings declare, or nil if they declare none.
func (i *instance) declared() map[string]*metric.Desc {
	d, ok := i.config.(sources.Declarer)
	if !ok {
		return nil
	}
	all := map[string]*metric.Desc{}
	for _, desc := range d.Declares() {
		all[desc.Name] = desc
	}
	return all
}

// isDeclared reports whether a metric is as declared. The field How may be empty in the declaration.
func isDeclared(declared, d *metric.Desc) bool {
	if declared == nil {
		return false
	}
	before := *declared
	if before.How == "" {
		before.How = d.How
	}
	return reflect.DeepEqual(&before, d)
}

// wellFormed checks what the ledger relies on.
func (i *instance) wellFormed(readings metric.Readings) {
	i.Helper()
	declared, seen := i.declared(), map[string]bool{}
	for _, m := range readings {
		name := m.Desc.Name
		if seen[name] {
			i.Errorf("%s is in the readings of a tick twice", name)
		}
		seen[name] = true
		// The ledger finds the state of a metric by this pointer.
		if first := i.descs[name]; first != nil && first != m.Desc {
			i.Errorf("%s has another Desc than in the first tick: its totals would start again at zero", name)
		}
		i.descs[name] = m.Desc
		if declared != nil && !isDeclared(declared[name], m.Desc) {
			i.Errorf("%s differs from its declaration:\n%+v\n%+v", name, declared[name], m.Desc)
		}
		if m.Err != nil {
			i.isOneLine(m.Err.Error())
		}
		for _, d := range m.Drops {
			i.isOneLine(d.First)
			if d.Count < 1 {
				i.Errorf("%s drops %d readings: %s", name, d.Count, d.Reason)
			}
		}
		for _, text := range m.Warnings {
			i.isOneLine(text)
		}
		for _, row := range m.Rows {
			if len(row.Labels) != len(m.Desc.LabelNames) {
				i.Errorf("%s has labels %q, wants one for each of %q", name, row.Labels, m.Desc.LabelNames)
			}
			if !utf8.ValidString(strings.Join(row.Labels, "")) {
				i.Errorf("%s has labels %q, which are not UTF-8", name, row.Labels)
			}
		}
	}
}

// maxError is the maximum length of an error, in bytes.
const maxError = 4096

func (i *instance) isOneLine(text string) {
	i.Helper()
	oneLine(i.T, text)
}

// oneLine checks a text that users see.
func oneLine(t *testing.T, text string) {
	t.Helper()
	if strings.ContainsAny(text, "\r\n") || len(text) > maxError || text == "" {
		t.Errorf("want an error of one line, got %.200q", text)
	}
	if strings.Contains(text, secret) {
		t.Errorf("the secret is revealed: %s", text)
	}
}

// isWhole checks that every metric but one was measured.
func (i *instance) isWhole(readings metric.Readings, but string) {
	i.Helper()
	measured := map[string]bool{}
	for _, m := range readings {
		measured[m.Desc.Name] = m.Err == nil && len(m.Rows)+len(m.Series) > 0
		if m.Err != nil && m.Desc.Name != but {
			i.Errorf("%s is not measured: %v", m.Desc.Name, m.Err)
		}
	}
	for name := range i.declared() {
		if !measured[name] && name != but {
			i.Errorf("%s has no reading", name)
		}
	}
}
