package schedule

import (
	"fmt"
	"math/rand"
	"strings"
	"time"
)

// The oracle knows no periods and no offsets. It lives through real time step by step with a diary of the times that the
// clock has shown, and states the rules as a person would who sits before that clock:
//
//   - At a step the clock shows a time. If the schedule asks for it and it is not in the diary yet, the job runs.
//   - If the clock has just jumped ahead, all the times that it left out are also asked for at this step, as if shown.
//   - A job of every hour keeps no diary and looks at the clock only.
//
// A time of the clock is its digits, and a random schedule is a set of values for each field beside its text, so that neither
// the cron library nor ZoneBounds takes part.

// wish is a random schedule: the values of each field, and its text.
type wish struct {
	values [6]map[int]bool
	stars  bool // one of the two day fields is a star
	text   string
}

// randomField returns the text of one field and its values.
func randomField(r *rand.Rand, low, high int, starShare float64) (string, map[int]bool) {
	set := map[int]bool{}
	add := func(from, to, step int) {
		for v := from; v <= to; v += step {
			set[v] = true
		}
	}
	if r.Float64() < starShare {
		add(low, high, 1)
		return "*", set
	}
	pick := func() int { return low + r.Intn(high-low+1) }
	var items []string
	for range 1 + r.Intn(2) {
		switch a, b := pick(), pick(); r.Intn(4) {
		case 0:
			step := 2 + r.Intn((high-low)/2)
			add(low, high, step)
			items = append(items, fmt.Sprintf("*/%d", step))
		case 1:
			a, b = min(a, b), max(a, b)
			step := 1 + r.Intn(5)
			add(a, b, step)
			items = append(items, fmt.Sprintf("%d-%d/%d", a, b, step))
		default:
			add(a, a, 1)
			items = append(items, fmt.Sprint(a))
		}
	}
	return strings.Join(items, ","), set
}

func randomWish(r *rand.Rand, withSeconds bool) wish {
	var w wish
	var texts [6]string
	for i, b := range [6][3]int{{0, 59, 10}, {0, 59, 30}, {0, 23, 35}, {1, 31, 80}, {1, 12, 95}, {0, 6, 80}} {
		low, high := b[0], b[1]
		if i == 2 && r.Intn(2) == 0 {
			high = 3 // the hours at which clocks jump
		}
		texts[i], w.values[i] = randomField(r, low, high, float64(b[2])/100)
		if i == 2 && high == 3 && strings.Contains(texts[i], "*") {
			// A star is of the whole field.
			texts[i], w.values[i] = "0-3", map[int]bool{0: true, 1: true, 2: true, 3: true}
		}
	}
	w.stars = texts[3] == "*" || texts[5] == "*"
	if withSeconds {
		w.text = strings.Join(texts[:], " ")
	} else {
		w.values[0] = map[int]bool{0: true}
		w.text = strings.Join(texts[1:], " ")
	}
	return w
}

// asks reports whether the schedule names a time of the clock, given as UTC digits.
func (w wish) asks(c time.Time) bool {
	v := &w.values
	if !v[0][c.Second()] || !v[1][c.Minute()] || !v[2][c.Hour()] || !v[4][int(c.Month())] {
		return false
	}
	dom, dow := v[3][c.Day()], v[5][int(c.Weekday())]
	return dom && dow || (dom || dow) && !w.stars
}

// digits returns what a clock shows, written as if it were UTC.
func digits(t time.Time) time.Time {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	return time.Date(year, month, day, hour, minute, second, 0, time.UTC)
}

// live returns the instants from ≤ t < to at which the job runs, having watched the clock since `early`.
func (w wish) live(loc *time.Location, early, from, to time.Time, step time.Duration) []time.Time {
	var runs []time.Time
	everyHour := len(w.values[2]) == 24
	diary := map[int64]bool{}
	before := digits(early.In(loc)).Add(-step)
	for t := early; t.Before(to); t = t.Add(step) {
		now := digits(t.In(loc))
		due := false
		if everyHour {
			due = w.asks(now)
		} else {
			heard := now
			if now.After(before.Add(step)) {
				heard = before.Add(step)
			}
			for ; !heard.After(now); heard = heard.Add(step) {
				if !diary[heard.Unix()] && w.asks(heard) {
					due = true
				}
				diary[heard.Unix()] = true
			}
		}
		before = now
		if due && !t.Before(from) {
			runs = append(runs, t)
		}
	}
	return runs
}
