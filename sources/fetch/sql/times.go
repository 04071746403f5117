package sql

import "time"

// parseTime reads a time as databases write it in text: a date and a time, with or without an offset from UTC. Without
// one it is taken for UTC.
func parseTime(text string) (time.Time, bool) {
	for _, layout := range []string{
		"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z07", "2006-01-02 15:04:05",
		"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00:00", "2006-01-02 15:04",
	} {
		if t, err := time.Parse(layout, text); err == nil { // which takes fractions of a second with any layout
			return t, true
		}
	}
	return time.Time{}, false
}
