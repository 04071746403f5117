package metric

import (
	"slices"
	"strings"
)

// MoreLabels stands among [Desc.LabelNames] for labels whose names are known only when a reading comes. The reading's value for it
// is the result of [PackLabels]. A label that is also declared has the declared value, unless that is empty.
const MoreLabels = ""

// separator ends each name and value of packed labels. It is never part of UTF-8.
const separator = "\xff"

// PackLabels returns labels as one text, which is equal for equal labels. Labels without a value are left out. Names must differ, and
// all must be UTF-8. The text is part of saved state: its form does not change.
func PackLabels(labels []Label) string {
	if !slices.IsSortedFunc(labels, compareLabels) {
		labels = slices.Clone(labels)
		slices.SortFunc(labels, compareLabels)
	}
	var b strings.Builder
	for _, l := range labels {
		if l.Value != "" {
			b.WriteString(l.Name + separator + l.Value + separator)
		}
	}
	return b.String()
}

// UnpackLabels appends the labels of a packed text to dst, sorted by name.
func UnpackLabels(dst []Label, packed string) []Label {
	for packed != "" {
		var l Label
		l, packed = CutPacked(packed)
		dst = append(dst, l)
	}
	return dst
}

// CutPacked returns the first label of a packed text, and the others.
func CutPacked(packed string) (first Label, rest string) {
	first.Name, rest, _ = strings.Cut(packed, separator)
	first.Value, rest, _ = strings.Cut(rest, separator)
	return first, rest
}

// MergePacked returns the labels of two packed texts. Of two labels of one name, that of first is kept.
func MergePacked(first, second string) string {
	switch {
	case first == "":
		return second
	case second == "":
		return first
	}
	return PackLabels(mergeLabels(UnpackLabels(nil, first), UnpackLabels(nil, second)))
}

// mergeLabels returns the labels of both, sorted by name. Of two labels of one name, that of first is kept.
func mergeLabels(first, second []Label) []Label {
	all := first
	for _, l := range second {
		if !slices.ContainsFunc(first, func(own Label) bool { return own.Name == l.Name }) {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, compareLabels)
	return all
}
