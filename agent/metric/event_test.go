package metric

import "testing"

func TestTargetEvent(t *testing.T) {
	one := PackLabels([]Label{{"instance", "a"}, {"job", "j"}})
	other := PackLabels([]Label{{"instance", "aj"}})
	for _, target := range []string{one, other, ""} {
		for _, id := range []string{"1", "a\x00", "\xff", "é"} {
			event := TargetEvent(target, id)
			if gotTarget, gotID, ok := CutTarget(event); gotTarget != target || gotID != id || !ok {
				t.Errorf("%q of %q: got %q of %q, %v", id, target, gotID, gotTarget, ok)
			}
		}
	}
	for _, id := range []string{"", "1", "instance\xffa\xff\xff1", "\xffinstance", "\xff"} {
		if target, got, ok := CutTarget(id); target != "" || got != id || ok {
			t.Errorf("%q: got %q of %q, %v", id, got, target, ok)
		}
	}
}
