package starlark

import (
	"strings"
	"testing"
)

// TestWhichFunction checks which function computes a metric, and the errors of loading a script.
func TestWhichFunction(t *testing.T) {
	const both = "metrics: {n_total: {type: counter}, g: {type: gauge}}"
	for script, want := range map[string]string{
		"def get_n(): return 1\ndef get_g(): return 2":                              "g 2\nn_total 1\n",
		"def get_n_total(): return 1\ndef get_n(): return 3\ndef get_g(): return 2": "g 2\nn_total 1\n",
		"def f(): return 1\nregister_metric('n', f)\nregister_metric('g', f)":       "g 1\nn_total 1\n",
		"def f(): return 1\nregister_metric('n_total', f)\ndef get_g(): return 2":   "g 2\nn_total 1\n",
		"def get_n(): return 1": "new: test.star: no function for g: write def get_g():, or register_metric(\"g\", …)\n",
		"def f(): return 1\nregister_metric('n', f)\nregister_metric('n', f)": "new: test.star:3:16: register_metric: n already has a function\n",
		"def get_n(): return 1\nget_g = get_n\nregister_metric('m', get_n)":   "g 1\nn_total 1\n",
		"def f(): return 1\nregister_metric('m', f)\ndef get_n(): return 1":   "new: test.star: no function for g: write def get_g():, or register_metric(\"g\", …); register_metric names m\n",
		"def get_n(self): return 1\ndef get_g(): return 2":                    "",
		"def get_g(*args, x = 1, **kw): return x\ndef get_n(): return 1":      "g 1\nn_total 1\n",
		"load('other.star', 'x')\ndef get_n(): return 1":                      "new: test.star:1:1: load is not supported: a script is a single file, in: load('other.star', 'x')\n",
		"def get_n(:\n    pass":                                                       "new: test.star:1:12: got ':', want ')', in: def get_n(:\n",
		"def get_n(): return totl\ndef get_g(): return 2":                             "new: test.star:1:21: undefined: totl, in: def get_n(): return totl\n",
		"x = fetch()\ndef get_n(): return 1\ndef get_g(): return 2":                   "new: test.star:1:10: fetch: cannot be used at the top level, which runs once, before any run of the job: use it in a metric's function\n",
		"x = time.now()\ndef get_n(): return 1\ndef get_g(): return 2":                "",
		"x = [0]\ndef get_n():\n    x.append(1)\n    return 1\ndef get_g(): return 2": "g 2\nn_total: test.star:3:13: get_n: append: cannot append to frozen list\n",
		"def get_n():\n    fetch()['a'] = 1\n    return 1\ndef get_g(): return 2":     "g 2\nn_total: test.star:2:12: get_n: cannot insert into frozen hash table\n",
		"while True: pass": "new: test.star:1:1: exceeded 100000000 steps: is it an endless loop?\n",
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

// TestDeltaInTheScript checks enable_delta_metric.
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
	if s, err = made(t, "metrics: {x: {type: summary}}", script, nil); err != nil || !s.(*source).measured[0].Desc.Delta {
		t.Errorf("no delta, %v", err)
	}
	_, err = made(t, "metrics: {x: {type: summary, once_by: id}}", script, nil)
	if err == nil || err.Error() != "test.star:1:1: f: enable_delta_metric is only valid for a gauge or a counter of totals, or a histogram or summary without once_by" {
		t.Errorf("got %v", err)
	}
}

// TestOnceInTheScript checks enable_once_metric.
func TestOnceInTheScript(t *testing.T) {
	script := func(returns string) string {
		return "def f(): return " + returns + "\nregister_metric('x', enable_once_metric(f))"
	}
	for _, c := range []struct{ metrics, returns, want string }{
		{"x_total: {type: counter}", "[event(7), event(8, 2)]", "x_total 1 event 7\nx_total 2 event 8\n"},
		{"x_total: {type: counter, from: events, labels: [a]}", "event('k', a = 1)", "x_total{a=\"1\"} 1 event k\n"},
		{"x: {type: histogram, labels: [a]}", "[event(1, 0.5, a = 'b')]", "x{a=\"b\"} 0.5 event 1\n"},
		{"x: {type: summary}", "None", "x: no reading is valid: f returned None; return [] if there is nothing to measure\n"},
		{"x: {type: summary}", "5", "x: test.star:1:1: f: want event(id, …), alone or in a list, got the number 5\n"},
		{"x: {type: summary}", "[{'id': 1, 'n': 2}]", "x: test.star:1:1: f: item 0: want event(id, …), alone or in a list, got a dict\n"},
		{"x: {type: summary}", "observe(5)", "x: test.star:1:1: f: observe is only valid for a histogram or summary without once_by: use event(id, …)\n"},
		{"x: {type: gauge}", "5", "new: test.star:1:1: f: enable_once_metric is only valid for a counter, a histogram or a summary\n"},
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
	if got := collect(t, "metrics: {f: {type: gauge}}", both, nil); got != "new: test.star:2:20: enable_delta_metric: f already has enable_once_metric: a metric can have only one of them\n" {
		t.Errorf("got %s", got)
	}
}

func TestVersionIsThatOfTheText(t *testing.T) {
	version := func(text string) string {
		s, err := made(t, "metrics: {x: {type: gauge}}", text, nil)
		if err != nil {
			t.Fatal(err)
		}
		return Kind.Version(s)
	}
	a, b := version("def get_x(): return 1"), version("def get_x(): return 2")
	if a == b || a != version("def get_x(): return 1") {
		t.Errorf("%s %s", a, b)
	}
}
