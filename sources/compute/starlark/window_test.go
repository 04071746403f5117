package starlark

import "testing"

func TestOwnTimes(t *testing.T) {
	const gauge = "x: {type: gauge}"
	for _, c := range []struct{ metrics, returns, want string }{
		{gauge, "set(1, time = window.start)", "x 1 at 2026-03-01T12:59:00Z\n"},
		{
			gauge, `[set(1, time = time.rfc3339("2026-03-01T12:00:00.5+01:00")), set(2, time = 1772366400.25), set(3)]`,
			"x 1 at 2026-03-01T11:00:00.5Z\nx 2 at 2026-03-01T12:00:00.25Z\nx 3\n",
		},
		{"x_total: {type: counter, labels: [team]}", `set(1, time = window.end, team = "a")`, "x_total{team=\"a\"} 1 at 2026-03-01T13:00:00Z\n"},
		{"x: {type: gauge, labels: [time]}", `set(1, time = "noon")`, "x{time=\"noon\"} 1\n"},
		{gauge, "set(1, time = None)", "x drops 1 missing: its time is None\n"},
		{
			gauge, `[set(1, time = "noon"), set(2, time = 0), set(2, time = 1e15), set(2, time = True)]`,
			"x drops 4 not_a_time: time: want a time, such as time.rfc3339(text), or Unix seconds, got the text \"noon\"\n",
		},
		{gauge, "set(2, time = -1)", "x drops 1 not_a_time: time: -1 is no time from 1970 to 9999\n"},
		{"x: {type: gauge, delta: true}", "set(1, time = 1)", "x: test.star:2:1: get_x: set: time goes with a gauge without delta, or a counter from: total\n"},
		{"x_total: {type: counter, from: increment}", "inc(1, time = 1)", "x_total: test.star:2:1: get_x: inc: time is none of the metric's labels\n"},
		{gauge, "(window.end - window.start).seconds", "x 60\n"},
		{gauge, "window.begin", "x: test.star:3:18: get_x: window has no .begin field or method\n"},
	} {
		if got := collect(t, "metrics: {"+c.metrics+"}", "start = 1\ndef get_x():\n    return "+c.returns+"\n", nil); got != c.want {
			t.Errorf("%s of %s: got %swant %s", c.returns, c.metrics, got, c.want)
		}
	}
	if got := collect(t, "metrics: {"+gauge+"}", "at = window.start\n", nil); got != "new: test.star:1:12: the top level runs once, before any tick: call it in a metric's function\n" {
		t.Errorf("at the top level: got %s", got)
	}
}
