package metric

import "strings"

// TargetEvent returns the ID of an event that a target of a job has. Two targets can have different events with the same ID, and the
// returned IDs of these differ. target is a text of [PackLabels] that identifies the target. The returned text is stored in state files, so
// its format must not change.
func TargetEvent(target, id string) string { return TargetMark(target) + id }

// TargetMark returns the beginning of all IDs that [TargetEvent] returns for a target.
func TargetMark(target string) string { return separator + target + separator }

// CutTarget returns the target and the ID from which [TargetEvent] has made the ID of an event. For any other ID, ok is false and id is that ID.
func CutTarget(event string) (target, id string, ok bool) {
	packed, marked := strings.CutPrefix(event, separator)
	for rest := packed; marked && rest != ""; _, rest = CutPacked(rest) {
		if id, ok := strings.CutPrefix(rest, separator); ok {
			return packed[:len(packed)-len(rest)], id, true
		}
	}
	return "", event, false
}
