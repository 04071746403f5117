package metric

import (
	"fmt"
	"slices"
	"strings"
)

// words has the text of each value of an enumeration, in the order of the values.
type words []string

func typeWords() words {
	return words{"unknown", "gauge", "counter", "histogram", "summary", "gaugehistogram"}
}
func fromWords() words      { return words{"total", "increment", "events"} }
func decreaseWords() words  { return words{"reset", "ignore", "error", "add"} }
func firstRunWords() words  { return words{"count", "skip"} }
func duplicateWords() words { return words{"error", "sum", "last", "max", "min", "count"} }

func (w words) read(text []byte, accepted words) (int, error) {
	for i, word := range w {
		if word == string(text) && slices.Contains(accepted, word) {
			return i, nil
		}
	}
	n := len(accepted) - 1
	return 0, fmt.Errorf("want %s or %s", strings.Join(accepted[:n], ", "), accepted[n])
}

func (t Type) String() string { return typeWords()[t] }

// MarshalText returns the text that UnmarshalText accepts.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Words returns all values that the setting can have, for cton explain.
func (Type) Words() []string { return typeWords()[1:5] }

// UnmarshalText accepts gauge, counter, histogram or summary.
func (t *Type) UnmarshalText(text []byte) error {
	i, err := typeWords().read(text, typeWords()[1:5])
	*t = Type(i)
	return err
}

func (f From) String() string { return fromWords()[f] }

// MarshalText returns the text that UnmarshalText accepts.
func (f From) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// Words returns all values that the setting can have, for cton explain.
func (From) Words() []string { return fromWords() }

// UnmarshalText accepts total, increment or events.
func (f *From) UnmarshalText(text []byte) error {
	i, err := fromWords().read(text, fromWords())
	*f = From(i)
	return err
}

func (o OnDecrease) String() string { return decreaseWords()[o] }

// MarshalText returns the text that UnmarshalText accepts.
func (o OnDecrease) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Words returns all values that the setting can have, for cton explain.
func (OnDecrease) Words() []string { return decreaseWords() }

// UnmarshalText accepts reset, ignore, error or add.
func (o *OnDecrease) UnmarshalText(text []byte) error {
	i, err := decreaseWords().read(text, decreaseWords())
	*o = OnDecrease(i)
	return err
}

func (o OnDuplicate) String() string { return duplicateWords()[o] }

// MarshalText returns the text that UnmarshalText accepts.
func (o OnDuplicate) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Words returns all values that the setting can have, for cton explain.
func (OnDuplicate) Words() []string { return duplicateWords() }

// UnmarshalText accepts error, sum, last, max, min or count.
func (o *OnDuplicate) UnmarshalText(text []byte) error {
	i, err := duplicateWords().read(text, duplicateWords())
	*o = OnDuplicate(i)
	return err
}

func (f FirstRun) String() string { return firstRunWords()[f] }

// Words returns all values that the setting can have, for cton explain.
func (FirstRun) Words() []string { return firstRunWords() }

// UnmarshalText accepts count or skip.
func (f *FirstRun) UnmarshalText(text []byte) error {
	i, err := firstRunWords().read(text, firstRunWords())
	*f = FirstRun(i)
	return err
}
