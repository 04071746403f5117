package metric

// Reading is one measured value of one declared metric.
type Reading struct {
	// Labels are the values of the metric's labels, in the order of Desc.LabelNames. They may point into the document
	// they were read from and are valid only until the source collects again: who keeps them copies them.
	Labels []string
	Value  float64
	Time   int64  // the reading's own time in Unix milliseconds; 0 = the tick's
	Event  string // id of the event it stands for, where the metric counts an event once; valid as long as Labels
}

// Measured is all that a tick measured of one metric.
type Measured struct {
	Desc *Desc
	Rows []Reading

	// Series, where it is not nil, stands in place of Rows: what the metric shows now, as absolute values, of a source that
	// gets it ready-made. The ledger passes it on and remembers nothing of it, so what is not there is gone, and Err is
	// then what is wrong beside it. The batch keeps the series: a source does not change them.
	Series []Series

	// Err is why the metric could not be measured at all in this tick. Its rows are not used, and its last values stay
	// for as long as they are valid.
	Err error

	// Drops are the readings that could not be used, each reason once.
	Drops []Drop
}

// Drop counts a reading that could not be used. First is kept of the first for this reason.
func (m *Measured) Drop(reason Reason, first string) {
	for i := range m.Drops {
		if m.Drops[i].Reason == reason {
			m.Drops[i].Count++
			return
		}
	}
	m.Drops = append(m.Drops, Drop{Reason: reason, Count: 1, First: first})
}

// Readings is what a tick measured, metric by metric. A declared metric that is not among them has no series left.
type Readings []Measured

// Drop counts readings or samples that were left out for one reason.
type Drop struct {
	Reason Reason
	Count  int
	First  string // what the first of them was, in a few words
}

// Reason says why something was left out. It is the value of a label of the agent's own metrics.
type Reason string

// Why a reading is left out.
const (
	Missing     Reason = "missing"        // a field was null or not there
	NotNumber   Reason = "not_a_number"   // a value was text, a list or an object
	Unmapped    Reason = "unmapped"       // a text that a map does not name, and default: drop
	NotLabel    Reason = "not_a_label"    // a label was a list or an object, or not UTF-8
	Expression  Reason = "expression"     // an expression ended in an error
	LabelTooBig Reason = "label_too_long" // a label's value exceeds the bound
	Future      Reason = "future"         // its own time lies too far ahead
	Decreased   Reason = "decreased"      // an upstream total fell, and on_decrease: error
	TooMany     Reason = "too_many"       // more series or events than the bound
	Invalid     Reason = "invalid"        // a value its metric cannot take: a negative increment
	Duplicate   Reason = "duplicate"      // its series has a value in this tick already
	NotTime     Reason = "not_a_time"     // its own time could not be read
	Skipped     Reason = "skipped"        // its item could not be fetched, and on_error: skip; counted once an item
	NotNewer    Reason = "not_newer"      // its own time is not after the series' last one: the API shows it once more
)

// Reasons lists them all, so that their counters exist before the first drop.
func Reasons() []Reason {
	return []Reason{Missing, NotNumber, Unmapped, NotLabel, Expression, LabelTooBig, Future, Decreased, TooMany, Invalid, Duplicate, NotTime, Skipped, NotNewer}
}
