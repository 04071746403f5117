package starlark

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What read_data returns is what every metric gets, asked for once a tick and name.
func TestReadData(t *testing.T) {
	const two = "metrics: {a: {type: gauge}, b: {type: gauge}}"
	for _, c := range []struct{ script, want, asked string }{
		{`
def read_data():
    return [fetch("/x")["n"], fetch("/y")["n"]]
def get_a(): return sum(get_data_from_store("s"))
def get_b(): return get_data_from_store("s")[1]
`, "a 3\nb 2\n", "/x|/y"},
		{`
def read_data(name = "x"): return fetch(name)["n"]
def get_a(): return get_data_from_store("/x") + get_data_from_store("/y")
def get_b(): return get_data_from_store("/y")
`, "a 3\nb 2\n", "/x|/y"},
		{`
def read_data(*names): return [len(names)]
def get_a(): return get_data_from_store()[0]
def get_b(): get_data_from_store().append(1)
`, "a 0\nb: test.star:4:42: get_b: append: cannot append to frozen list\n", ""},
		{`
def read_data(): return get_data_from_store("other")
def get_a(): return get_data_from_store()
def get_b(): return 1
`, "a: test.star:2:44: read_data: get_data_from_store: asks read_data, which is asking already: call fetch in it\nb 1\n", ""},
		{`
def read_data(): return fetch("/gone")
def get_a(): return get_data_from_store()["n"]
def get_b(): return get_data_from_store()["n"] + 1
`, "tick: test.star:2:30: read_data: GET /gone: 404 Not Found\n", "/gone"},
		{`
def read_data(): return fetch("/x")["m"]
def get_a(): return get_data_from_store()
def get_b(): return get_data_from_store()
`, "a: test.star:2:36: read_data: key \"m\" not in dict\nb: test.star:2:36: read_data: key \"m\" not in dict\n", "/x"},
		{"def read_data(self): return 1\ndef get_a(): return 1\nget_b = get_a", "new: test.star:1:1: read_data: is called with the name of the store alone, or with nothing: leave out self, and read config for settings\n", ""},
		{`
def read_data(): pass
def get_a(): return get_data_from_store()["n"]
def get_b(): return get_data_from_store().get("n")
`, "a: test.star:3:42: get_a: what stands before [ is None (did read_data return nothing?)\nb: test.star:4:42: get_b: what stands before .get is None (did read_data return nothing?)\n", ""},
		{"def read_data(url, params): return 1\ndef get_a(): return 1\nget_b = get_a", "new: test.star:1:1: read_data: is called with the name of the store alone, or with nothing\n", ""},
	} {
		a := &api{texts: map[string]string{"": `{"n": 0}`, "/x": `{"n": 1}`, "/y": `{"n": 2}`}}
		got := collect(t, two, c.script, a)
		if asked := strings.Join(a.asked, "|"); got != c.want || asked != c.asked {
			t.Errorf("%s: got\n%swant\n%sasked %s", c.script, got, c.want, asked)
		}
	}
}

// What a script keeps is asked for again when it is too old by the ticks' time, and only answers are kept.
func TestExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &api{texts: map[string]string{"": `{"n": 1}`, "/x": `{"n": 2}`}}
		s, err := made(t, "metrics: {x: {type: gauge}}", `
def get_x():
    return get_data_from_store("s", expires = "60s")["n"] + fetch("/x", expires = 90)["n"] + (fetch("/x", expires = 30)["n"] if time.now().unix % 60 == 29 else 2)
`, a)
		if err != nil {
			t.Fatal(err)
		}
		tick := tickAt()
		at := func(after time.Duration, want string) {
			t.Helper()
			a.asked = nil
			tick.Time = tickAt().Time.Add(after)
			readings, err := s.Collect(t.Context(), tick)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%q", a.asked); got != want || show(readings) != "x 5\n" {
				t.Errorf("after %s: asked %s, want %s; %s", after, got, want, show(readings))
			}
		}
		at(0, `["" "/x"]`)
		time.Sleep(time.Hour) // the clock of the ticks says otherwise
		at(59*time.Second, "[]")
		at(60*time.Second, `[""]`)   // the store is asked for again
		at(89*time.Second, `["/x"]`) // one that is younger than 30s is wanted, too
		at(178*time.Second, `[""]`)
		at(179*time.Second, `["/x"]`)
		at(10*time.Second, `["" "/x"]`) // set back
		delete(a.texts, "/x")
		tick.Time = tickAt().Time.Add(300 * time.Second)
		if readings, err := s.Collect(t.Context(), tick); err == nil {
			t.Errorf("got %s", show(readings))
		}
		a.texts["/x"] = `{"n": 2}`
		at(301*time.Second, `["/x"]`)
	})
}

// Answers are kept within bounds; what finds no room is asked for again.
func TestKeptIsBounded(t *testing.T) {
	a := &api{texts: map[string]string{}}
	for i := range 150 {
		a.texts[fmt.Sprint("/", i)] = "1"
	}
	a.texts["/big"] = "[" + strings.Repeat("1,", 10_000) + "1]"
	s, err := made(t, "max_memory: 1MiB\nmetrics: {x: {type: gauge}}", `
def get_x():
    return len(fetch("/big", expires = "1h")) + sum([fetch("/%d" % i, expires = "1h") for i in range(150)])
`, a)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if readings, err := s.Collect(t.Context(), tickAt()); err != nil || show(readings) != "x 10151\n" {
			t.Fatal(err, show(readings))
		}
	}
	if kept := s.(*source).kept; len(a.asked) != 151+51 || len(kept.answers) != maxKept || kept.size <= 0 || kept.size > 1<<19 {
		t.Errorf("asked %d times, %d kept of %d bytes", len(a.asked), len(kept.answers), kept.size)
	}
	later := tickAt()
	later.Time = later.Time.Add(time.Hour)
	s.(*source).kept.forget(later.Time)
	if kept := s.(*source).kept; len(kept.answers) != 0 || kept.size != 0 {
		t.Errorf("left over: %d of %d bytes", len(kept.answers), kept.size)
	}
}

func TestExpiresRefuses(t *testing.T) {
	for given, want := range map[string]string{
		`"soon"`: `fetch: expires: want such as "60s" or a number of seconds: "soon" is no duration such as 1h30m or PT1H30M`,
		`-1`:     `fetch: expires: want such as "60s" or a number of seconds: less than nothing`,
		`1e300`:  `fetch: expires: want such as "60s" or a number of seconds: more than 292 years`,
		`[]`:     `fetch: expires: want such as "60s" or a number of seconds: want a number, got a list`,
	} {
		if got := value(t, "fetch(expires = "+given+")"); got != want {
			t.Errorf("%s: got %s", given, got)
		}
	}
}
