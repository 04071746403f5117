package schedule

import "errors"

// Overlap says what becomes of a tick that is due while the one before is still under way.
type Overlap uint8

// The tick is left out; or waits, one at most, until the other is over; or the other is cancelled for it.
const (
	Skip Overlap = iota
	Queue
	Cancel
)

func overlapWords() [3]string { return [3]string{"skip", "queue", "cancel"} }

func (o Overlap) String() string { return overlapWords()[o] }

// UnmarshalText reads skip, queue or cancel.
func (o *Overlap) UnmarshalText(text []byte) error {
	for i, word := range overlapWords() {
		if word == string(text) {
			*o = Overlap(i)
			return nil
		}
	}
	return errors.New("want skip, queue or cancel")
}
