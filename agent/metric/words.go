package metric

import (
	"fmt"
	"slices"
	"strings"
)

// words are how the values of one of our enumerations are written, in their order.
type words []string

func typeWords() words {
	return words{"unknown", "gauge", "counter", "histogram", "summary", "gaugehistogram"}
}
func fromWords() words      { return words{"total", "increment", "events"} }
func decreaseWords() words  { return words{"reset", "ignore", "error"} }
func firstRunWords() words  { return words{"count", "skip"} }
func duplicateWords() words { return words{"error", "sum", "last", "max", "min", "count"} }

func (w words) read(text []byte, offer words) (int, error) {
	for i, word := range w {
		if word == string(text) && slices.Contains(offer, word) {
			return i, nil
		}
	}
	n := len(offer) - 1
	return 0, fmt.Errorf("want %s or %s", strings.Join(offer[:n], ", "), offer[n])
}

func (t Type) String() string { return typeWords()[t] }

// MarshalText writes what UnmarshalText reads.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads gauge, counter, histogram or summary.
func (t *Type) UnmarshalText(text []byte) error {
	i, err := typeWords().read(text, typeWords()[1:5])
	*t = Type(i)
	return err
}

func (f From) String() string { return fromWords()[f] }

// MarshalText writes what UnmarshalText reads.
func (f From) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads total, increment or events.
func (f *From) UnmarshalText(text []byte) error {
	i, err := fromWords().read(text, fromWords())
	*f = From(i)
	return err
}

func (o OnDecrease) String() string { return decreaseWords()[o] }

// MarshalText writes what UnmarshalText reads.
func (o OnDecrease) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads reset, ignore or error.
func (o *OnDecrease) UnmarshalText(text []byte) error {
	i, err := decreaseWords().read(text, decreaseWords())
	*o = OnDecrease(i)
	return err
}

func (o OnDuplicate) String() string { return duplicateWords()[o] }

// MarshalText writes what UnmarshalText reads.
func (o OnDuplicate) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads error, sum, last, max, min or count.
func (o *OnDuplicate) UnmarshalText(text []byte) error {
	i, err := duplicateWords().read(text, duplicateWords())
	*o = OnDuplicate(i)
	return err
}

func (f FirstRun) String() string { return firstRunWords()[f] }

// UnmarshalText reads count or skip.
func (f *FirstRun) UnmarshalText(text []byte) error {
	i, err := firstRunWords().read(text, firstRunWords())
	*f = FirstRun(i)
	return err
}
