package starlark

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/sources"
)

// What functions return, and what becomes of it.
func TestAnswers(t *testing.T) {
	const gauge, labelled, events = "x: {type: gauge}", "x: {type: gauge, labels: [team, stack]}", "x_total: {type: counter, once_by: id, labels: [team]}"
	const at = "test.star:1:1: get_x: "
	for _, c := range []struct{ metrics, returns, want string }{
		{gauge, "5", "x 5\n"},
		{gauge, "0.25", "x 0.25\n"},
		{gauge, "True", "x 1\n"},
		{gauge, "2 * time.minute", "x 120\n"},
		{gauge, "None", "x drops 1 missing: get_x returned None\n"},
		{gauge, "[]", ""},
		{gauge, `[{"n": 3}]`, "x 3\n"},
		{gauge, "1 << 70", "x 1.1805916207174113e+21\n"},
		{gauge, "set(4)", "x 4\n"},
		{gauge, "[set(4)]", "x 4\n"},
		{gauge, `"5"`, "x: " + at + "want a number, got the text \"5\"\n"},
		{gauge, "get_x", "x: " + at + "want a number, got the function get_x: is a call () missing?\n"},
		{gauge, "[1, 2]", "x: " + at + "item 0: want a number, got the number 1 alone\n"},
		{gauge, `float("nan")`, "x: " + at + "the number is not finite\n"},
		{gauge, "inc(1)", "x: " + at + "inc goes with a counter with from: increment\n"},
		{gauge, `set(1, team = "a")`, "x: " + at + "set: team is none of the metric's labels\n"},

		{labelled, `[{"team": "a", "stack": "p", "v": 1}, {"stack": 2, "w": 3, "team": True}]`, "x{stack=\"p\",team=\"a\"} 1\nx{stack=\"2\",team=\"true\"} 3\n"},
		{labelled, `{"team": "a", "stack": "p", "v": 1}`, "x{stack=\"p\",team=\"a\"} 1\n"},
		{labelled, `[{"team": "a", "v": 1}]`, "x: " + at + "item 0: the label \"stack\" is missing\n"},
		{labelled, `[{"team": "a", "Stack": "b", "v": 1}]`, "x: " + at + "item 0: the label \"stack\" is missing\n"},
		{labelled, `[{"team": "a", "stack": "p"}]`, "x: " + at + "item 0: has no key for the number, only labels\n"},
		{labelled, `[{"team": "a", "stack": "p", "v": 1, "w": 2}]`, "x: " + at + "item 0: has more keys than labels and one for the number: v, w\n"},
		{labelled, `[{"team": "a", "stack": "p", "v": "1"}]`, "x: " + at + "item 0: v: want a number, got the text \"1\": write float(…)\n"},
		{labelled, `[{"team": [], "stack": "p", "v": 1}]`, "x: " + at + "item 0: label team: want a text, got a list\n"},
		{labelled, `[{"team": "a", "stack": "p", "v": None}, {"team": None, "stack": "p", "v": 1}]`, "x drops 2 missing: the number is None\n"},
		{labelled, `[{"team": "a" * 5000, "stack": "p", "v": 1}]`, "x drops 1 label_too_long: a label's value has 5000 bytes, more than 4096\n"},
		{labelled, `[{"team": "é"[:1], "stack": "p", "v": 1}]`, "x drops 1 not_a_label: a label's value is not UTF-8\n"},
		{labelled, "5", "x: " + at + "want a list of dicts with team, stack and one more key for the number, got the number 5 alone\n"},
		{labelled, `set(1, team = "a", stack = "b")`, "x{stack=\"b\",team=\"a\"} 1\n"},
		{labelled, `set(1, team = "a")`, "x: " + at + "set: the label \"stack\" is missing\n"},

		{events, `[{"id": 7, "team": "a"}, {"id": "8", "team": "b", "n": 2}]`, "x_total{team=\"a\"} 1 event 7\nx_total{team=\"b\"} 2 event 8\n"},
		{events, `[event(7, team = "a"), event("8", 2, team = "b"), event(9, value = 3, team = "c")]`, "x_total{team=\"a\"} 1 event 7\nx_total{team=\"b\"} 2 event 8\nx_total{team=\"c\"} 3 event 9\n"},
		{events, `[{"id": None, "team": "a"}]`, "x_total drops 1 missing: id is missing\n"},
		{events, `[{"team": "a"}]`, "x_total: " + at + "item 0: the key \"id\" is missing, which once_by names\n"},
		{events, `inc(team = "a")`, "x_total: " + at + "inc goes with a counter with from: increment\n"},

		{events, `event(7, team = "a", x = 1)`, "x_total: " + at + "event: x is none of the metric's labels\n"},
		{events, `event(7, team = "a", **{"team": "b"})`, "x_total: " + at + "event: the label \"team\" is there twice\n"},
		{labelled, `[{"team": "a", "stack": "p", 5: 1}]`, "x{stack=\"p\",team=\"a\"} 1\n"},
		{labelled, `[{"team": "a", "stack": "p", 5: "x" * 100}]`, "x: " + at + "item 0: 5: want a number, got a text of 100 bytes: write float(…)\n"},
		{labelled, `[dict([("k%d" % i, i) for i in range(9)], team = "a", stack = "p")]`, "x: " + at + "item 0: has more keys than labels and one for the number: k0, k1, k2, k3, k4, …\n"},

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

// One metric's problem costs the others nothing.
func TestOneFails(t *testing.T) {
	got := collect(t, "metrics: {a: {type: gauge}, b: {type: gauge}, c: {type: gauge}}", `
def helper(d):
    return d["nope"]
def get_a(): return 1
def get_b():
    return helper(fetch())
def get_c(): return fetch()["total"]
`, nil)
	if want := "a 1\nb: test.star:3:13: helper: key \"nope\" not in dict\nc 7\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestWhichFunction(t *testing.T) {
	const both = "metrics: {n_total: {type: counter}, g: {type: gauge}}"
	for script, want := range map[string]string{
		"def get_n(): return 1\ndef get_g(): return 2":                              "g 2\nn_total 1\n",
		"def get_n_total(): return 1\ndef get_n(): return 3\ndef get_g(): return 2": "g 2\nn_total 1\n",
		"def f(): return 1\nregister_metric('n', f)\nregister_metric('g', f)":       "g 1\nn_total 1\n",
		"def f(): return 1\nregister_metric('n_total', f)\ndef get_g(): return 2":   "g 2\nn_total 1\n",
		"def get_n(): return 1": "new: test.star: no function for g: write def get_g():, or register_metric(\"g\", …)\n",
		"def f(): return 1\nregister_metric('n', f)\nregister_metric('n', f)": "new: test.star:3:16: register_metric: n has a function already\n",
		"def get_n(): return 1\nget_g = get_n\nregister_metric('m', get_n)":   "new: test.star: register_metric names \"m\", which metrics do not declare\n",
		"def get_n(self): return 1\ndef get_g(): return 2":                    "",
		"def get_g(*args, x = 1, **kw): return x\ndef get_n(): return 1":      "g 1\nn_total 1\n",
		"load('other.star', 'x')\ndef get_n(): return 1":                      "new: test.star:1:1: a script stands alone: load is not possible, in: load('other.star', 'x')\n",
		"def get_n(:\n    pass":                                                       "new: test.star:1:12: got ':', want ')', in: def get_n(:\n",
		"def get_n(): return totl\ndef get_g(): return 2":                             "new: test.star:1:21: undefined: totl, in: def get_n(): return totl\n",
		"x = fetch()\ndef get_n(): return 1\ndef get_g(): return 2":                   "new: test.star:1:10: the top level runs once, before any tick: call it in a metric's function\n",
		"x = time.now()\ndef get_n(): return 1\ndef get_g(): return 2":                "",
		"x = [0]\ndef get_n():\n    x.append(1)\n    return 1\ndef get_g(): return 2": "g 2\nn_total: test.star:3:13: get_n: append: cannot append to frozen list\n",
		"def get_n():\n    fetch()['a'] = 1\n    return 1\ndef get_g(): return 2":     "g 2\nn_total: test.star:2:12: get_n: cannot insert into frozen hash table\n",
		"while True: pass": "new: test.star:1:1: no end after 100000000 steps: is it an endless loop?\n",
	} {
		got := collect(t, both, script, nil)
		if want == "" {
			want = got
			if !strings.HasPrefix(got, "new: test.star:1:") {
				want = "an error of new"
			}
		}
		if got != want {
			t.Errorf("%s: got\n%swant\n%s", script, got, want)
		}
	}
}

func TestDeltaInTheScript(t *testing.T) {
	script := "def f(): return 1\nregister_metric('x', enable_delta_metric(f))"
	s, err := made(t, "metrics: {x_total: {type: counter, from: increment}}", script, nil)
	if err != nil {
		t.Fatal(err)
	}
	if from := s.(*source).measured[0].Desc.From.String(); from != "total" {
		t.Errorf("from %s", from)
	}
	if s, err = made(t, "metrics: {x: {type: gauge, labels: [a]}}", script, nil); err != nil || !s.(*source).measured[0].Desc.Delta {
		t.Errorf("no delta, %v", err)
	}
	_, err = made(t, "metrics: {x: {type: summary}}", script, nil)
	if err == nil || err.Error() != "test.star:1:1: f: enable_delta_metric goes with a gauge or a counter of totals" {
		t.Errorf("got %v", err)
	}
}

// An event counts once though the configuration says nothing of it.
func TestOnceInTheScript(t *testing.T) {
	script := func(returns string) string {
		return "def f(): return " + returns + "\nregister_metric('x', enable_once_metric(f))"
	}
	for _, c := range []struct{ metrics, returns, want string }{
		{"x_total: {type: counter}", "[event(7), event(8, 2)]", "x_total 1 event 7\nx_total 2 event 8\n"},
		{"x_total: {type: counter, from: events, labels: [a]}", "event('k', a = 1)", "x_total{a=\"1\"} 1 event k\n"},
		{"x: {type: histogram, labels: [a]}", "[event(1, 0.5, a = 'b')]", "x{a=\"b\"} 0.5 event 1\n"},
		{"x: {type: summary}", "None", "x drops 1 missing: f returned None\n"},
		{"x: {type: summary}", "5", "x: test.star:1:1: f: want event(id, …), alone or in a list, got the number 5 alone\n"},
		{"x: {type: summary}", "[{'id': 1, 'n': 2}]", "x: test.star:1:1: f: item 0: want event(id, …), alone or in a list, got a dict\n"},
		{"x: {type: summary}", "observe(5)", "x: test.star:1:1: f: observe goes with a histogram or summary whose observations count each time, not once by an id\n"},
		{"x: {type: gauge}", "5", "new: test.star:1:1: f: enable_once_metric goes with a counter, a histogram or a summary\n"},
		{"x_total: {type: counter, from: increment}", "event(7)", "x_total 1 event 7\n"}, // as a config.json has it
	} {
		if got := collect(t, "metrics: {"+c.metrics+"}", script(c.returns), nil); got != c.want {
			t.Errorf("%s, %s: got\n%swant\n%s", c.metrics, c.returns, got, c.want)
		}
	}
	s, err := made(t, "metrics: {x_total: {type: counter}}", script("event(1)"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := s.(*source).measured[0].Desc; !d.Once || d.From.String() != "events" || d.Remember == 0 || d.MaxEvents == 0 {
		t.Errorf("declared %+v", d)
	}
	both := "def f(): return 1\nenable_delta_metric(enable_once_metric(f))"
	if got := collect(t, "metrics: {f: {type: gauge}}", both, nil); got != "new: test.star:2:20: enable_delta_metric: f has enable_once_metric already\n" {
		t.Errorf("got %s", got)
	}
}

// Every request is sent once a tick, and again in the next.
func TestFetches(t *testing.T) {
	a := &api{texts: map[string]string{"": `{"n": 1}`, "?a=1?a=2": `{"n": 10}`, "/x X-A:b": `{"n": 100}`, `POST {"q":[1]}`: `{"n": 1000}`}}
	s, err := made(t, "metrics: {a: {type: gauge}, b: {type: gauge}}", `
def get_a():
    n = fetch()["n"] + get_data_from_store("any")["n"] + fetch(url = None)["n"]
    return n + fetch(params = {"a": [1, 2]})["n"] + fetch("/x", headers = {"X-A": "b"})["n"]
def get_b(): return fetch(method = "post", body = {"q": [1]})["n"] + fetch()["n"]
`, a)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		readings, err := s.Collect(t.Context(), tickAt())
		if err != nil {
			t.Fatal(err)
		}
		if got := show(readings); got != "a 113\nb 1001\n" {
			t.Errorf("got %s", got)
		}
	}
	if got := strings.Join(a.asked, "|"); got != strings.TrimSuffix(strings.Repeat(`|?a=1?a=2|/x X-A:b|POST {"q":[1]}|`, 2), "|") {
		t.Errorf("asked %s", got)
	}
}

// The job's own document is needed; another is needed by who asks for it, unless nothing is left.
func TestFailedFetch(t *testing.T) {
	const two = "metrics: {a: {type: gauge}, b: {type: gauge}}"
	gone := &api{texts: map[string]string{}}
	if got := collect(t, two, "def get_a(): return 1\ndef get_b(): return fetch()['n']", gone); got != "tick: test.star:2:26: get_b: GET : 404 Not Found\n" {
		t.Errorf("got %s", got)
	}
	if got := collect(t, two, "def get_a(): return 1\ndef get_b(): return fetch('/b')['n']", gone); got != "a 1\nb: test.star:2:26: get_b: GET /b: 404 Not Found\n" {
		t.Errorf("got %s", got)
	}
	if got := collect(t, two, "def get_a(): return fetch('/b')\ndef get_b(): return fetch('/b')['n']", gone); got != "tick: test.star:1:26: get_a: GET /b: 404 Not Found\n" {
		t.Errorf("got %s", got)
	}
}

// Whatever a script does, it ends, and with its place.
func TestLimits(t *testing.T) {
	for body, want := range map[string]string{
		"return len('x' * 10000000000)":                                        "makes a text of more than 64 MiB",
		"return len([0] * 1000000000)":                                         "makes a list of more than 4194304 items",
		"return len(1000000000 * (0,))":                                        "makes a list of more than 4194304 items",
		"s = 'x'\n    while True: s += s":                                      "makes a text of more than 64 MiB",
		"s = [0]\n    while True: s = s + s":                                   "makes a list of more than 4194304 items",
		"s = [0]\n    while True: s += s":                                      "makes a list of more than 4194304 items",
		"s = 'x'\n    s *= 1000000000":                                         "makes a text of more than 64 MiB",
		"s = ['x' * 1000000] * 1000000\n    return len(','.join(s))":           "join: makes a text of more than 64 MiB",
		"s = 'x' * 1000000\n    return len(s.replace('x', s))":                 "replace: makes a text of more than 64 MiB",
		"s = 'x' * 1000000\n    return len(('{0}' * 1000).format(s))":          "format: makes a text of more than 64 MiB",
		"s = ['x' * 1000000] * 1000\n    return len('%s' % s)":                 "makes a text of more than 64 MiB",
		"s = ['x' * 1000000] * 1000\n    return len(str(s))":                   "str: makes a text of more than 64 MiB",
		"s = ['x' * 1000000] * 1000\n    print(s)":                             "print: makes a text of more than 64 MiB",
		"s = ['x' * 1000000] * 1000\n    return len(json.encode(s))":           "json.encode: makes a text of more than 64 MiB",
		"s = 'x' * 1000000\n    return len(re.sub('x', s, s))":                 "get_x: makes a text of more than 64 MiB",
		"return max(range(1000000000000))":                                     "range: more than 10000000 numbers",
		"x = []\n    for i in range(100000): x = [x]\n    return len(repr(x))": "repr: is nested more than 1000 deep",
		"n = 3\n    for i in range(100): n = n * n\n    return n":              "the numbers are too large to multiply",
		"n = 3\n    for i in range(100): n *= n\n    return n":                 "the numbers are too large to multiply",
		"return get_x()":             "function get_x called recursively",
		"return 1 + 'a'":             "unknown binary op: int + string",
		"return 'a' * 'b'":           "unknown binary op: string * string",
		"return {}.nope":             "dict has no .nope field or method",
		"return open('/etc/passwd')": "undefined: open",
		"fail('a\\nb')":              "fail: a b",
	} {
		got := collect(t, "metrics: {x: {type: gauge}, y: {type: gauge}}", "def get_x():\n    "+body+"\ndef get_y(): return 1\n", nil)
		place := strings.HasPrefix(got, "x: test.star:") && strings.HasSuffix(got, "y 1\n") || strings.HasPrefix(got, "new: test.star:2:")
		if !place || !strings.Contains(got, want) || strings.Count(got, "\n") > 2 {
			t.Errorf("%s: got\n%swant\n%s", body, got, want)
		}
	}
}

// What grows in small steps is stopped too.
func TestMemory(t *testing.T) {
	got := collect(t, "max_memory: 32MiB\nmetrics: {x: {type: gauge}}", "def get_x():\n    s = []\n    for i in range(10000000): s.append(str(i) + 'some text that is long')\n", nil)
	if !strings.Contains(got, "get_x: uses more memory than max_memory (32 MiB)") {
		t.Errorf("got %s", got)
	}
}

// slow is a fetcher that never answers.
type slow struct{}

func (slow) Fetch(ctx context.Context, _ sources.Tick) (*sources.Document, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func (s slow) Ask(ctx context.Context, tick sources.Tick, _ sources.Request) (*sources.Document, error) {
	return s.Fetch(ctx, tick)
}

// An address that does not answer costs the functions that ask it, and half of the time that is left.
func TestSlowFetch(t *testing.T) {
	const script = `
def read_data(): return fetch("/slow", method = "POST")
def get_a(): return get_data_from_store()["n"]
def get_b(): return get_data_from_store()["n"]
def get_c(): return fetch("/other")["n"]
def get_d(): return 1
`
	s, err := made(t, "metrics: {a: {type: gauge}, b: {type: gauge}, c: {type: gauge}, d: {type: gauge}}", script, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.(*source).env.Fetch = slow{}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		readings, err := s.Collect(ctx, tickAt())
		const want = "a: test.star:2:30: read_data: no response within 15s, half of the time that the tick had left\n" +
			"b: test.star:2:30: read_data: no response within 15s, half of the time that the tick had left\n" +
			"c: test.star:5:26: get_c: no response within 7.5s, half of the time that the tick had left\nd 1\n"
		if got := show(readings); got != want || err != nil {
			t.Errorf("got %v and\n%s", err, got)
		}
	})
}

func TestTimeout(t *testing.T) {
	s, err := made(t, "metrics: {x: {type: gauge}}", "def get_x():\n    return fetch()['n']\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.(*source).env.Fetch = slow{}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("no end within the timeout of 1s"))
		defer cancel()
		_, err := s.Collect(ctx, tickAt())
		if err == nil || err.Error() != "test.star:2:17: get_x: no end within the timeout of 1s" {
			t.Errorf("got %v", err)
		}
	})
	// A loop is ended by the time-out as well, long before its steps are used up.
	loop, err := made(t, "metrics: {x: {type: gauge}}", "def get_x():\n    while True: pass\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errors.New("no end within the timeout of 20ms"))
	defer cancel()
	if _, err = loop.Collect(ctx, tickAt()); err == nil || !strings.HasPrefix(err.Error(), "test.star:") || !strings.HasSuffix(err.Error(), ": get_x: no end within the timeout of 20ms") {
		t.Errorf("got %v", err)
	}
}

func TestHelpers(t *testing.T) {
	for expression, want := range map[string]string{
		`fetch()["big"]`: `12345678901234567890`,
		`[fetch()[k] for k in ["half", "none", "on", "total"]]`: `[0.5, None, True, 7]`,
		`type(fetch()["incidents"][0])`:                         `"dict"`,
		`mean([1, 2, 6])`:                                       `3.0`,
		`mean([])`:                                              `None`,
		`statistics.stdev([2, 4, 4, 4, 5, 5, 7, 9])`:            `2.138089935299395`,
		`statistics.stdev([5])`:                                 `None`,
		`time.parse_duration("1h30m").seconds`:                  `5400.0`,
		`time.parse_duration("PT1H30M").minutes`:                `90.0`,
		`time.parse_duration("P1W2DT0.5S")`:                     `216h0m0.5s`,
		`time.parse_duration("P1M")`:                            `parse_duration: "P1M" is no duration such as 1h30m or PT1H30M`,
		`time.parse_duration("PT")`:                             `parse_duration: "PT" is no duration such as 1h30m or PT1H30M`,
		`time.parse_duration("P1D2W")`:                          `parse_duration: "P1D2W" is no duration such as 1h30m or PT1H30M`,
		`time.parse_duration("P99999999999W")`:                  `parse_duration: more than 292 years`,
		`time.parse_duration("90")`:                             `parse_duration: "90" is no duration such as 1h30m or PT1H30M`,
		`(time.rfc3339("2026-03-01T12:01:30Z") - time.rfc3339("2026-03-01T12:00:00Z")).seconds`: `90.0`,
		`time.strptime("2026-03-01T12:00:00+01:00", "%Y-%m-%dT%H:%M:%S%z").unix`:                `1772362800`,
		`time.strptime("2026-03-01 12:00:00 +0100", "%Y-%m-%d %H:%M:%S %z").unix`:               `1772362800`,
		`time.strptime("2026-03-01 12:00 UTC", "%Y-%m-%d %H:%M %Z").unix`:                       `1772366400`,
		`time.strptime("2026-03-01 12:00 CET", "%Y-%m-%d %H:%M %Z", "Europe/Oslo").unix`:        `1772362800`,
		`time.strptime("2026-03-01 12:00 CET", "%Y-%m-%d %H:%M %Z")`:                            `strptime: nobody knows "CET" in UTC: give the location that it belongs to`,
		`statistics.median([5, 1, 3, 4])`:                                                       `3.5`,
		`percentile([1, 2, 3, 4, 5], 90)`:                                                       `4.6`,
		`percentile([1], 101)`:                                                                  `percentile: want a number from 0 to 100 as p`,
		`mean(["a"])`:                                                                           `mean: item 0: want a number, got the text "a": write float(…)`,
		`sum([1, 2, 3])`:                                                                        `6`,
		`sum([0.5, 2], 1)`:                                                                      `3.5`,
		`sum([time.second, time.minute])`:                                                       `1m1s`,
		`sum(["a"])`:                                                                            `sum: want numbers, got the text "a"`,
		`time.now().unix`:                                                                       `1772370000`,
		`get_iso_timestamp_x_min_ago(1)`:                                                        `"2026-03-01T12:59:00Z"`,
		`get_iso_timestamp_x_min_ago(x=0.5)`:                                                    `"2026-03-01T12:59:30Z"`,
		`time.rfc3339("2026-03-01T12:00:00+01:00").unix`:                                        `1772362800`,
		`time.rfc3339("soon")`:                                                                  `rfc3339: "soon" is no time such as 2026-03-01T12:00:00Z`,
		`time.strptime("2026-03-01T12:00:00Z", "%Y-%m-%dT%H:%M:%SZ").unix`:                      `1772366400`,
		`time.strptime("2026-03-01 12:00:00.25", "%Y-%m-%d %H:%M:%S.%f").nanosecond`:            `250000000`,
		`time.strptime("2026-03-01T12:00:00+0100", "%Y-%m-%dT%H:%M:%S%z").unix`:                 `1772362800`,
		`time.strptime("01 Mar 26 01:00 PM", "%d %b %y %I:%M %p", "Europe/Oslo").unix`:          `1772366400`,
		`time.strptime("x", "%Q")`:                                                              `strptime: no %Q; there are %Y %m %d %H %M %S %f %z %Z %b %B %a %A %y %j %I %p`,
		`time.strptime("x", "%Y", "Nowhere")`:                                                   `strptime: no time zone "Nowhere"`,
		`math.floor(2.5)`:                                                                       `2`,
		`json.decode("[1]")`:                                                                    `[1]`,
		`json.encode({"a": [1]})`:                                                               `"{\"a\":[1]}"`,
		`re.search("(\\d+)-(\\d+)", "a 12-34")`:                                                 `("12-34", "12", "34")`,
		`re.match("b", "ab")`:                                                                   `None`,
		`re.findall("\\d", "1a2")`:                                                              `["1", "2"]`,
		`re.findall("(a)(b)", "abab")`:                                                          `[("a", "b"), ("a", "b")]`,
		`re.sub("(a)b", "\\1$1", "ab")`:                                                         `"a$1"`,
		`re.search("(", "")`:                                                                    "re: error parsing regexp: missing closing ): `(`",
		`"%s-%d" % ("a", 5)`:                                                                    `"a-5"`,
		`7 % 4 * 2`:                                                                             `6`,
		`[1] * 2 + 2 * [3]`:                                                                     `[1, 1, 3, 3]`,
		`", ".join(["a", "b"])`:                                                                 `"a, b"`,
		`"a{}c{x}".format("b", x = 1)`:                                                          `"abc1"`,
		`"aa".replace("a", "b", 1)`:                                                             `"ba"`,
		`job`:                                                                                   `"test"`,
		`event("a", 2, team = "b")`:                                                             `event("a", 2, team = "b")`,
	} {
		if got := value(t, expression); !strings.HasSuffix(got, want) {
			t.Errorf("%s: got %s, want %s", expression, got, want)
		}
	}
}

func TestSettings(t *testing.T) {
	got := collect(t, "settings: {a: text, n: 5, f: 0.5, l: [1, {b: true}], none: null}\nmetrics: {x: {type: gauge}}", "def get_x(): return fail(config)", nil)
	if want := `{"a": "text", "f": 0.5, "l": [1, {"b": True}], "n": 5, "none": None}`; !strings.Contains(got, want) {
		t.Errorf("got %s", got)
	}
}

func TestValidate(t *testing.T) {
	for text, want := range map[string]string{
		"":               "metrics: names no metric",
		"metrics: {x: }": "metrics.x: needs at least a type",
		"metrics: {x: {type: gauge, labels: [a, a]}}":            "metrics.x.labels.1: a is there already",
		"metrics: {x: {type: counter}}":                          "metrics.x: a counter's name ends in _total: call it x_total",
		"metrics: {x: {type: gauge, once_by: id}}":               "metrics.x.once_by: goes with a counter, a histogram or a summary",
		"metrics: {x: {type: summary, once_by: a, labels: [a]}}": "metrics.x.once_by: a is among labels too: an event's id would make a series of each event",
		"max_memory: 1kB\nmetrics: {x: {type: gauge}}":           "max_memory: want at least 1MiB",
		"settings: {a: {1: 2}}\nmetrics: {x: {type: gauge}}":     "settings: a: want texts, numbers, lists and mappings with texts as keys",
	} {
		if err := configOf(t, text).Validate(); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	if err := Kind.Defaults().Validate(); err == nil || !strings.Contains(err.Error(), "file: is needed") {
		t.Errorf("got %v", err)
	}
}

func TestVersionIsThatOfTheText(t *testing.T) {
	version := func(text string) string {
		s, err := made(t, "metrics: {x: {type: gauge}}", text, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s.(sources.Versioned).Version()
	}
	a, b := version("def get_x(): return 1"), version("def get_x(): return 2")
	if a == b || a != version("def get_x(): return 1") {
		t.Errorf("%s %s", a, b)
	}
}

// TestAStoreThatWasCutShort holds that the bounds of one function cost the next one nothing.
func TestAStoreThatWasCutShort(t *testing.T) {
	s, err := made(t, "metrics: {a: {type: gauge}, b: {type: gauge}}", `
def read_data(name):
    n = 0
    for i in range(50000): n += i
    return {"n": 7}
def get_a():
    for i in range(60000): i + i
    return get_data_from_store("x")["n"]
def get_b(): return get_data_from_store("x")["n"]
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.(*source).maxSteps = 1_000_000
	readings, err := s.Collect(t.Context(), tickAt())
	if err != nil {
		t.Fatal(err)
	}
	if got := show(readings); !strings.Contains(got, "no end after 1000000 steps") || !strings.Contains(got, "b 7") {
		t.Errorf("got %s", got)
	}
}

func TestPiecesAreBounded(t *testing.T) {
	for body, want := range map[string]string{
		"l = [0] * 1000\n    for i in range(19): l.extend(l)\n    return len(l)": "extend: makes a list of more than",
		"return len(('a' * (16 << 20)).split('a'))":                              "split: makes a list of more than",
		"return len((' ' * (16 << 20)).split())":                                 "split: makes a list of more than",
		"return len(('a' * (16 << 20)).split('a', 3))":                           "a 4",
		"l = [1]\n    l.extend([2, 3])\n    l.extend((4,))\n    return len(l)":   "a 4",
	} {
		if got := collect(t, "metrics: {a: {type: gauge}}", "def get_a():\n    "+body+"\n", nil); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want … %s …", body, got, want)
		}
	}
}
