package metric

import "fmt"

// Reading is one measured value of one declared metric.
type Reading struct {
	// Labels are the values of the metric's labels, in the order of Desc.LabelNames. "" means that the series does not have the label. The
	// values may point into the document that they were read from, so they are valid only until the source's next collection.
	Labels []string
	Value  float64
	Time   int64  // the reading's own time in Unix milliseconds; 0 = the time of the tick
	Event  string // ID of the event, for a metric that counts each event once; valid for as long as the field Labels is
}

// Answer is an answer of the upstream that readings come from. The answer is used again if a later tick has the same ID for the same target.
type Answer struct {
	Target string // labels of the target, as from [PackLabels]; "" = the job has one target
	ID     uint64 // identifies the answer; 0 = it is new
	Rows   int    // number of readings that come from the answer
}

// Measured is the result of measuring one metric in a tick: its readings, or why there are none.
type Measured struct {
	Desc *Desc
	Rows []Reading

	// Answers says from which answers of the upstream the Rows come, in their order. If an answer is used again in a later tick, the ledger
	// does not add its rows to a total again. nil = all rows are new. Only a metric that Accumulates and has no event IDs needs it.
	Answers []Answer

	// Series, if not nil, replaces Rows. A source sets it if it has whole series with absolute values already, such as those of a
	// scrape. The ledger passes them on and keeps no state for them: a series that is not in the slice has ended, even if Err is
	// set. The batch keeps the slice, so the source must not change it. The source must use the same *LabelSet for a series in
	// every tick (see LabelSet).
	Series []Series

	// Earlier has points of the series in the field Series. The points are older than the values there: see [Family.Earlier].
	Earlier map[*LabelSet][]Point

	// ByName is true for a declaration whose items give the names of the metrics. The readings of each such metric are in another
	// Measured. This Measured has the error, the drops and the warnings of all these metrics; Elsewhere is the number of their readings.
	ByName    bool
	Elsewhere int

	// Ended is for a metric whose totals the ledger keeps. Its series usually continue without readings. The function returns whether a series
	// without a reading has ended all the same, for example because its target is gone. nil = no series has ended.
	Ended func(*LabelSet) bool

	// EventWas returns the other ID that an event of Rows can have had in an earlier tick: see [TargetEvent]. "" = none. nil = no event had
	// another ID.
	EventWas func(event string) string

	// Err is why the metric could not be measured in this tick. The metric's rows are then not used, and its last values remain as long as they
	// are valid.
	Err error

	// Drops counts the readings that could not be used, with one entry for each reason.
	Drops []Drop

	// Warnings describe readings that are used but are probably not what the user intended.
	Warnings []string
}

// Drop counts a reading that could not be used. The argument "first" describes the reading. If several readings have the same reason, only
// the description of the first of them is kept.
func (m *Measured) Drop(reason Reason, first string) {
	for i := range m.Drops {
		if m.Drops[i].Reason == reason {
			m.Drops[i].Count++
			return
		}
	}
	m.Drops = append(m.Drops, Drop{Reason: reason, Count: 1, First: first})
}

// Count returns the number of readings, including those that were left out. Skipped items have no readings.
func (m *Measured) Count() int {
	n := len(m.Rows) + len(m.Series) + m.Elsewhere
	for _, d := range m.Drops {
		if d.Reason != Skipped {
			n += d.Count
		}
	}
	return n
}

// FailIfAllDropped sets Err if the source has dropped all readings of the metric, since the metric was then not measured. Texts that are
// dropped because the setting "map" has no entry for them are no error: a document can consist of only such texts.
func (m *Measured) FailIfAllDropped() {
	if m.Err != nil || len(m.Rows)+m.Elsewhere > 0 {
		return
	}
	first := ""
	for _, d := range m.Drops {
		if d.Reason != Unmapped && first == "" {
			first = d.First
		}
	}
	switch all := m.Count(); {
	case first == "":
	case all == 1:
		m.Err = fmt.Errorf("no reading is valid: %s", first)
	default:
		m.Err = fmt.Errorf("none of %d readings is valid: %s", all, first)
	}
}

// FailIfTooFew sets Err if the metric has fewer readings than its declaration expects.
func (m *Measured) FailIfTooFew() {
	if m.Err != nil || m.Desc == nil || m.Desc.MinReadings == nil || len(m.Rows)+m.Elsewhere >= *m.Desc.MinReadings {
		return
	}
	m.Err = fmt.Errorf("has %d of at least %d readings (expect.min): the source returns less, or the expressions do not match it any more; "+
		"if fewer readings are right, lower expect.min", len(m.Rows)+m.Elsewhere, *m.Desc.MinReadings)
}

// IsEmpty reports whether the metric has no readings, although there was no error and no reading was left out.
func (m *Measured) IsEmpty() bool {
	return m.Err == nil && m.Desc != nil && m.Series == nil && len(m.Rows)+m.Elsewhere == 0 && len(m.Drops) == 0
}

// Readings is the result of a tick, with one entry for each metric. If a declared metric has no entry, all its series have ended.
type Readings []Measured

// Drop is the number of readings or samples that were left out for a reason.
type Drop struct {
	Reason Reason
	Count  int
	First  string // a short description of the first reading
}

// Reason is the reason why a reading or sample was left out. It is the value of the label "reason" in the agent's own metrics.
type Reason string

// The reasons for which a reading is left out.
const (
	Missing     Reason = "missing"        // a field is null or absent
	NotNumber   Reason = "not_a_number"   // a value is text, a list or an object
	Unmapped    Reason = "unmapped"       // a text has no entry in the setting "map", with default: drop
	NotLabel    Reason = "not_a_label"    // a label's value is a list or an object, or not UTF-8
	Expression  Reason = "expression"     // an expression failed
	LabelTooBig Reason = "label_too_long" // a label's value is longer than the limit
	Future      Reason = "future"         // the reading's own time is too far in the future
	Decreased   Reason = "decreased"      // the running total of the upstream decreased, with on_decrease: error
	TooMany     Reason = "too_many"       // more series or events than the limit
	Invalid     Reason = "invalid"        // a value that the metric cannot have, such as a negative increment
	Duplicate   Reason = "duplicate"      // the series already has a value in this tick
	NotTime     Reason = "not_a_time"     // the reading's own time cannot be parsed
	Skipped     Reason = "skipped"        // an item could not be fetched, with on_error: skip; counted once per item
	Unnamed     Reason = "not_a_name"     // an item gives the name of a metric or label that is not valid, or is used for something else
	Failed      Reason = "failed"         // the metric has an error for one of several targets; counted once per target
	NotNewer    Reason = "not_newer"      // the reading's own time is not later than that of an earlier reading of the series
)
