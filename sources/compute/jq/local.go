package jq

import (
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// localTime is the time of a reading whose local time occurs twice, because clocks are set back. It has both possible times.
type localTime struct {
	row           int
	first, second time.Time
}

// resolveLocal chooses the times of a metric's readings whose local times occur twice, because clocks are set back by an hour. If the
// local times of a series' readings increase, but go back once, the readings before that point are in the first of the two hours, and the
// readings after that point are in the second hour. If a reading could be in either hour, it is in the second hour, unless that is after
// the tick.
func resolveLocal(rows []metric.Reading, local []localTime, tick time.Time) {
	if len(local) == 0 {
		return
	}
	ambiguous := map[int]localTime{}
	for _, l := range local {
		ambiguous[l.row] = l
	}
	series := map[string][]int{}
	for i, r := range rows {
		key := strings.Join(r.Labels, "\xff")
		series[key] = append(series[key], i)
	}
	for _, at := range series {
		if descends(rows, at) {
			slices.Reverse(at)
		}
		used := map[int64]bool{}
		for from := 0; from < len(at); from++ {
			to := from
			for to < len(at) {
				if _, ok := ambiguous[at[to]]; !ok {
					break
				}
				to++
			}
			if to > from {
				resolveRun(rows, at[from:to], ambiguous, from > 0, tick, used)
				from = to
			}
		}
	}
}

// descends reports whether the readings of a series are in descending order of time. For readings whose local times occur twice, it
// uses the first time.
func descends(rows []metric.Reading, at []int) bool {
	balance := 0
	for i := 1; i < len(at); i++ {
		switch before, now := rows[at[i-1]].Time, rows[at[i]].Time; {
		case now > before:
			balance++
		case now < before:
			balance--
		}
	}
	return balance < 0
}

// resolveRun chooses the times of consecutive readings. The parameter "after" says whether other readings of the series come before them.
// Two readings do not get the same time if the other possible time is free.
func resolveRun(rows []metric.Reading, at []int, ambiguous map[int]localTime, after bool, tick time.Time, used map[int64]bool) {
	back, times := 0, 0 // index at which the readings go back in time, and how often they do
	for i := 1; i < len(at); i++ {
		if rows[at[i]].Time <= rows[at[i-1]].Time {
			back, times = i, times+1
		}
	}
	last := ambiguous[at[len(at)-1]]
	inFirst := after || isFirst(last, tick)
	for i, row := range at {
		l := ambiguous[row]
		switch {
		case times == 1:
			inFirst = i < back
		case times > 1: // the readings are not in order
			inFirst = isFirst(l, tick)
		}
		chosen, other := l.first.UnixMilli(), l.second.UnixMilli()
		if !inFirst {
			chosen, other = other, chosen
		}
		if used[chosen] && !used[other] {
			chosen = other
		}
		used[chosen] = true
		rows[row].Time = chosen
	}
}

// isFirst chooses an hour for a time about which other readings say nothing. The result is true for the first hour.
func isFirst(l localTime, tick time.Time) bool {
	return sources.NotAfter(tick, l.first, l.second).Equal(l.first)
}
