package metric

import (
	"slices"
	"strings"
)

// MoreLabels is a placeholder in [Desc.LabelNames] for labels whose names become known only with a reading. The reading's value at this
// index is the result of [PackLabels]. If a packed label is also declared, the declared value is used unless it is empty.
const MoreLabels = ""

// separator ends each name and value of packed labels. Valid UTF-8 never contains this byte.
const separator = "\xff"

// PackLabels encodes labels as one text; equal labels give equal texts. Labels with an empty value are left out. Names must differ, and
// names and values must be UTF-8. The text is stored in state files, so its format must not change.
func PackLabels(labels []Label) string {
	if !slices.IsSortedFunc(labels, compareLabels) {
		labels = slices.Clone(labels)
		slices.SortFunc(labels, compareLabels)
	}
	size := 0
	for _, l := range labels {
		size += len(l.Name) + len(l.Value) + 2*len(separator)
	}
	var b strings.Builder
	b.Grow(size)
	for _, l := range labels {
		if l.Value != "" {
			b.WriteString(l.Name)
			b.WriteString(separator)
			b.WriteString(l.Value)
			b.WriteString(separator)
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

// CutPacked returns the first label of a packed text, and the text without it.
func CutPacked(packed string) (first Label, rest string) {
	first.Name, rest, _ = strings.Cut(packed, separator)
	first.Value, rest, _ = strings.Cut(rest, separator)
	return first, rest
}

// MergePacked merges two packed texts. If both have a label with the same name, the label in the argument "first" is kept.
func MergePacked(first, second string) string {
	switch {
	case first == "":
		return second
	case second == "":
		return first
	}
	var b strings.Builder
	b.Grow(len(first) + len(second))
	for first != "" && second != "" {
		one, afterOne := CutPacked(first)
		two, afterTwo := CutPacked(second)
		if order := strings.Compare(one.Name, two.Name); order <= 0 {
			b.WriteString(first[:len(first)-len(afterOne)])
			if first = afterOne; order == 0 {
				second = afterTwo
			}
		} else {
			b.WriteString(second[:len(second)-len(afterTwo)])
			second = afterTwo
		}
	}
	b.WriteString(first + second)
	return b.String()
}

// mergeLabels merges two lists of labels and sorts the result by name. If both have a label with the same name, the label in the argument
// "first" is kept.
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
