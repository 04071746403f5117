package starlark

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/sources"
)

// TestReadData checks that read_data is called once per tick and name.
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
`, "a: test.star:2:44: read_data: get_data_from_store: cannot be called in read_data: call fetch there\nb 1\n", ""},
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
		{"def read_data(self): return 1\ndef get_a(): return 1\nget_b = get_a", "new: test.star:1:1: read_data takes the name of the store, or nothing: remove self, and read settings from config\n", ""},
		{`
def read_data(): pass
def get_a(): return get_data_from_store()["n"]
def get_b(): return get_data_from_store().get("n")
`, "a: test.star:3:42: get_a: the value before [ is None (did read_data return nothing?)\nb: test.star:4:42: get_b: the value before .get is None (did read_data return nothing?)\n", ""},
		{"def read_data(url, params): return 1\ndef get_a(): return 1\nget_b = get_a", "new: test.star:1:1: read_data takes the name of the store, or nothing\n", ""},
	} {
		a := &api{texts: map[string]string{"": `{"n": 0}`, "/x": `{"n": 1}`, "/y": `{"n": 2}`}}
		got := collect(t, two, c.script, a)
		if asked := strings.Join(a.asked, "|"); got != c.want || asked != c.asked {
			t.Errorf("%s: got\n%swant\n%sasked %s", c.script, got, c.want, asked)
		}
	}
}

// TestExpires checks that a cached response is used until it is too old. The times of the ticks decide on that, not the clock.
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
		time.Sleep(time.Hour) // the time of the ticks counts, not the clock
		at(59*time.Second, "[]")
		at(60*time.Second, `[""]`)   // the store is read again
		at(89*time.Second, `["/x"]`) // another call accepts 30s only
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

// TestCacheIsBounded checks that a response without room in the cache is fetched again.
func TestCacheIsBounded(t *testing.T) {
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
	if cache := s.(*source).cache; len(a.asked) != 151+51 || len(cache.responses) != maxCached || cache.size <= 0 || cache.size > 1<<19 {
		t.Errorf("asked %d times, the cache has %d responses of %d bytes", len(a.asked), len(cache.responses), cache.size)
	}
	later := tickAt()
	later.Time = later.Time.Add(time.Hour)
	s.(*source).cache.expire(later.Time)
	if cache := s.(*source).cache; len(cache.responses) != 0 || cache.size != 0 {
		t.Errorf("left over: %d of %d bytes", len(cache.responses), cache.size)
	}
}

// TestStoreExpires checks the setting "expires". It applies to each call of get_data_from_store that has no argument "expires". It does not
// apply to fetch.
func TestStoreExpires(t *testing.T) {
	a := &api{texts: map[string]string{"": `{"n": 1}`, "/x": `{"n": 2}`}}
	s, err := made(t, "expires: 60s\nmetrics: {x: {type: gauge}}", `
def read_data(name): return fetch("/x")["n"] if name == "x" else fetch()["n"]
def get_x(): return get_data_from_store("a") + get_data_from_store("x", expires = 5) + get_data_from_store("now", expires = 0)
`, a)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		want  string
	}{{0, `["" "/x"]`}, {2 * time.Second, `[""]`}, {58 * time.Second, `["/x" ""]`}, {60 * time.Second, `[""]`}, {61 * time.Second, `[""]`}} {
		a.asked = nil
		tick := tickAt()
		tick.Time = tick.Time.Add(c.after)
		readings, err := s.Collect(t.Context(), tick)
		if got := fmt.Sprintf("%q", a.asked); err != nil || got != c.want || show(readings) != "x 4\n" {
			t.Errorf("after %s: asked %s, want %s; %v, %s", c.after, got, c.want, err, show(readings))
		}
	}

	a.asked = nil
	if s, err = made(t, "expires: 60s\nmetrics: {x: {type: gauge}}", `def get_x(): return get_data_from_store("a")["n"] + get_data_from_store("b")["n"]`, a); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		tick := tickAt()
		tick.Time = tick.Time.Add(time.Duration(i) * 2 * time.Second)
		if _, err := s.Collect(t.Context(), tick); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.asked) != 2 {
		t.Errorf("60 runs, each 2 s, asked %d times, want once a minute", len(a.asked))
	}
}

// TestExpiresRefuses checks the errors for invalid values of the argument "expires".
func TestExpiresRefuses(t *testing.T) {
	for given, want := range map[string]string{
		`"soon"`: `fetch: expires: want a duration such as "60s", or a number of seconds: "soon" is not a duration such as 1h30m or PT1H30M`,
		`-1`:     `fetch: expires: want a duration such as "60s", or a number of seconds: it must not be negative`,
		`1e300`:  `fetch: expires: want a duration such as "60s", or a number of seconds: want at most 292 years`,
		`[]`:     `fetch: expires: want a duration such as "60s", or a number of seconds: want a number, got a list`,
	} {
		if got := value(t, "fetch(expires = "+given+")"); got != want {
			t.Errorf("%s: got %s", given, got)
		}
	}
}

// TestFetches checks that each distinct request is sent once a tick.
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

// TestFailedFetch checks that a failure of the job's own document fails the tick. If another request fails, the functions that need it
// fail. If all functions fail for this reason, the tick fails.
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

// TestReadDataIsCalledAgainAfterALimit checks a call of read_data that ends because the calling function has reached a limit. The next
// function that needs the data calls read_data again.
func TestReadDataIsCalledAgainAfterALimit(t *testing.T) {
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
	s.(*source).limits.Steps = 1_000_000
	readings, err := s.Collect(t.Context(), tickAt())
	if err != nil {
		t.Fatal(err)
	}
	if got := show(readings); !strings.Contains(got, "exceeded 1000000 steps") || !strings.Contains(got, "b 7") {
		t.Errorf("got %s", got)
	}
}

// slow is a fetcher that never returns a document.
type slow struct{}

func (slow) Fetch(ctx context.Context, _ sources.Tick, _ sources.Request) (*sources.Document, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// TestSlowFetch checks that a request gets half of the time that is left.
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
		const want = "a: test.star:2:30: read_data: no response within 15s, half of the time that the run had left: raise timeout of the job\n" +
			"b: test.star:2:30: read_data: no response within 15s, half of the time that the run had left: raise timeout of the job\n" +
			"c: test.star:5:26: get_c: no response within 7.5s, half of the time that the run had left: raise timeout of the job\nd 1\n"
		if got := show(readings); got != want || err != nil {
			t.Errorf("got %v and\n%s", err, got)
		}
	})
}

// TestFetchRefuses checks the errors for wrong arguments of fetch except "expires".
func TestFetchRefuses(t *testing.T) {
	for arguments, want := range map[string]string{
		`params = 5`:              "fetch: params: want a dict, got an int",
		`params = {1: 2}`:         "fetch: params: want strings as keys, got an int",
		`headers = {"a": [None]}`: "fetch: headers: a: want a string or number, got None",
		`headers = {"a": {}}`:     "fetch: headers: a: want a string or number, got a dict",
		`body = 5`:                "fetch: body: want a string, or a dict or list to send as JSON, got an int",
		`body = [len]`:            "fetch: body: json.encode: at list index 0: cannot encode builtin_function_or_method as JSON",
	} {
		if got := value(t, "fetch("+arguments+")"); got != want {
			t.Errorf("%s: got %s, want %s", arguments, got, want)
		}
	}
}

func TestFetchNeedsAFetcher(t *testing.T) {
	s, err := made(t, "metrics: {x: {type: gauge}}", "def get_x(): return fetch()", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.(*source).env.Fetch = nil
	readings, err := s.Collect(t.Context(), tickAt())
	if got := show(readings); err != nil || got != "x: test.star:1:26: get_x: the job has no fetcher: add one next to script, such as http\n" {
		t.Errorf("got %v, %s", err, got)
	}
}

// TestRequestsAreBounded checks that the number of requests that a script can send in a tick is limited.
func TestRequestsAreBounded(t *testing.T) {
	a := &api{texts: map[string]string{}}
	for i := range maxResponses + 1 {
		a.texts[fmt.Sprint("/", i)] = "1"
	}
	got := collect(t, "metrics: {x: {type: gauge}}", "def get_x(): return sum([fetch('/%d' % i) for i in range(1001)])", a)
	if len(a.asked) != maxResponses || got != "x: test.star:1:31: get_x: more than 1000 distinct requests in one run: request more data with each\n" {
		t.Errorf("asked %d times, got %s", len(a.asked), got)
	}
}
