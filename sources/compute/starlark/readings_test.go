package starlark

import "testing"

// TestReadings checks which readings, or which error, come from the value that a function returns.
func TestReadings(t *testing.T) {
	const gauge, labelled, events = "x: {type: gauge}", "x: {type: gauge, labels: [team, stack]}", "x_total: {type: counter, once_by: id, labels: [team]}"
	const at = "test.star:1:1: get_x: "
	for _, c := range []struct{ metrics, returns, want string }{
		{gauge, "5", "x 5\n"},
		{gauge, "0.25", "x 0.25\n"},
		{gauge, "True", "x 1\n"},
		{gauge, "2 * time.minute", "x 120\n"},
		{gauge, "None", "x: no reading is valid: get_x returned None; return [] if there is nothing to measure\n"},
		{gauge, "[]", ""},
		{gauge, `[{"n": 3}]`, "x 3\n"},
		{gauge, "1 << 70", "x 1.1805916207174113e+21\n"},
		{gauge, "set(4)", "x 4\n"},
		{gauge, "[set(4)]", "x 4\n"},
		{gauge, `"5"`, "x: " + at + "want a number, got the string \"5\"\n"},
		{gauge, "get_x", "x: " + at + "want a number, got the function get_x: is a call () missing?\n"},
		{gauge, "[1, 2]", "x: " + at + "item 0: want one number, got a list of numbers\n"},
		{gauge, `float("nan")`, "x: " + at + "the value is not finite\n"},
		{gauge, "inc(1)", "x: " + at + "inc is only valid for a counter or gauge with from: increment, or enable_increment_metric(f) in the script\n"},
		{gauge, `set(1, team = "a")`, "x: " + at + "set: the metric has no label team\n"},

		{labelled, `[{"team": "a", "stack": "p", "v": 1}, {"stack": 2, "w": 3, "team": True}]`, "x{stack=\"p\",team=\"a\"} 1\nx{stack=\"2\",team=\"true\"} 3\n"},
		{labelled, `{"team": "a", "stack": "p", "v": 1}`, "x{stack=\"p\",team=\"a\"} 1\n"},
		{labelled, `[{"team": "a", "v": 1}]`, "x: " + at + "item 0: the label \"stack\" is missing\n"},
		{labelled, `[{"team": "a", "Stack": "b", "v": 1}]`, "x: " + at + "item 0: the label \"stack\" is missing\n"},
		{labelled, `[{"team": "a", "stack": "p"}]`, "x: " + at + "item 0: has no key for the value besides the labels\n"},
		{labelled, `[{"team": "a", "stack": "p", "v": 1, "w": 2}]`, "x: " + at + "item 0: has more than one key besides the labels: v, w: want one, the value; add the others to labels\n"},
		{labelled, `[{"team": "a", "stack": "p", "v": "1"}]`, "x: " + at + "item 0: v: want a number, got the string \"1\": write float(…)\n"},
		{labelled, `[{"team": [], "stack": "p", "v": 1}]`, "x: " + at + "item 0: label team: want a string, got a list\n"},
		{labelled, `[{"team": "a", "stack": "p", "v": None}, {"team": None, "stack": "p", "v": 1}]`, "x{stack=\"p\"} 1\nx drops 1 missing: the value is None\n"},
		{labelled, `[{"team": "a" * 5000, "stack": "p", "v": 1}]`, "x: no reading is valid: a label value has 5000 bytes, more than 4096\n"},
		{labelled, `[{"team": "é"[:1], "stack": "p", "v": 1}]`, "x: no reading is valid: a label value is not UTF-8\n"},
		{labelled, "5", "x: " + at + "want a list of dicts with team, stack and one more key for the value, got the number 5\n"},
		{labelled, `set(1, team = "a", stack = "b")`, "x{stack=\"b\",team=\"a\"} 1\n"},
		{labelled, `set(1, team = "a")`, "x: " + at + "set: the label \"stack\" is missing\n"},

		{events, `[{"id": 7, "team": "a"}, {"id": "8", "team": "b", "n": 2}]`, "x_total{team=\"a\"} 1 event 7\nx_total{team=\"b\"} 2 event 8\n"},
		{events, `[event(7, team = "a"), event("8", 2, team = "b"), event(9, value = 3, team = "c")]`, "x_total{team=\"a\"} 1 event 7\nx_total{team=\"b\"} 2 event 8\nx_total{team=\"c\"} 3 event 9\n"},
		{events, `[{"id": None, "team": "a"}]`, "x_total: no reading is valid: id is missing\n"},
		{events, `[{"team": "a"}]`, "x_total: " + at + "item 0: the key \"id\", the event id of once_by, is missing\n"},
		{events, `inc(team = "a")`, "x_total: " + at + "inc is only valid for a counter or gauge with from: increment, or enable_increment_metric(f) in the script\n"},

		{events, `event(7, team = "a", x = 1)`, "x_total: " + at + "event: the metric has no label x\n"},
		{events, `event(7, team = "a", **{"team": "b"})`, "x_total: " + at + "event: the label \"team\" is set twice\n"},
		{labelled, `[{"team": "a", "stack": "p", 5: 1}]`, "x{stack=\"p\",team=\"a\"} 1\n"},
		{labelled, `[{"team": "a", "stack": "p", 5: "x" * 100}]`, "x: " + at + "item 0: 5: want a number, got a string of 100 bytes: write float(…)\n"},
		{labelled, `[dict([("k%d" % i, i) for i in range(9)], team = "a", stack = "p")]`, "x: " + at + "item 0: has more than one key besides the labels: k0, k1, k2, k3, k4, …: want one, the value; add the others to labels\n"},

		{"x_total: {type: counter, from: increment, labels: [team]}", `[inc(team = "a"), inc(2, team = "b")]`, "x_total{team=\"a\"} 1\nx_total{team=\"b\"} 2\n"},
		{"x_total: {type: counter}", "set(9)", "x_total 9\n"},
		{"x: {type: histogram}", "[1, 2, 2 * time.second]", "x 1\nx 2\nx 2\n"},
		{"x: {type: summary}", "observe([1, 2.5])", "x 1\nx 2.5\n"},
		{"x: {type: summary, labels: [team]}", `[observe([1, 2], team = "a"), observe(3, team = "b")]`, "x{team=\"a\"} 1\nx{team=\"a\"} 2\nx{team=\"b\"} 3\n"},
	} {
		got := collect(t, "metrics: {"+c.metrics+"}", "def get_x():\n    return "+c.returns+"\n", nil)
		if got != c.want {
			t.Errorf("%s, %s: got\n%swant\n%s", c.metrics, c.returns, got, c.want)
		}
	}
}

// TestOwnTimes checks the timestamps that set takes.
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
		{gauge, "set(1, time = None)", "x: no reading is valid: its time is None\n"},
		{
			gauge, `[set(1, time = "noon"), set(2, time = 0), set(2, time = 1e15), set(2, time = True)]`,
			"x: none of 4 readings is valid: time: want a time, such as time.rfc3339(text), or Unix seconds, got the string \"noon\"\n",
		},
		{gauge, "set(2, time = -1)", "x: no reading is valid: time: -1 is not a time between 1970 and 9999\n"},
		{"x: {type: gauge, delta: true}", "set(1, time = 1)", "x: test.star:2:1: get_x: set: time is only valid for a gauge without delta, or a counter with from: total\n"},
		{"x_total: {type: counter, from: increment}", "inc(1, time = 1)", "x_total: test.star:2:1: get_x: inc: the metric has no label time\n"},
		{gauge, "(window.end - window.start).seconds", "x 60\n"},
		{gauge, "window.begin", "x: test.star:3:18: get_x: window has no .begin field or method\n"},
	} {
		if got := collect(t, "metrics: {"+c.metrics+"}", "start = 1\ndef get_x():\n    return "+c.returns+"\n", nil); got != c.want {
			t.Errorf("%s of %s: got %swant %s", c.returns, c.metrics, got, c.want)
		}
	}
	if got := collect(t, "metrics: {"+gauge+"}", "at = window.start\n", nil); got != "new: test.star:1:12: window: cannot be used at the top level, which runs once, before any run of the job: use it in a metric's function\n" {
		t.Errorf("at the top level: got %s", got)
	}
}
