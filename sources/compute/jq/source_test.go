package jq

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

func TestCollect(t *testing.T) {
	f := func(name, config, doc, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			want := strings.TrimLeft(want, "\n")
			if got := collect(t, config, doc); got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}

	f("one value", `x: {type: gauge, value: .a.b}`, `{"a":{"b":1.5}}`, "x 1.5\n")
	f("a text that is a number", `x: {type: gauge, value: .a}`, `{"a":"12.50"}`, "x 12.5\n")
	f("true and false", `x: {type: gauge, items: '.[]', on_duplicate: sum, value: .}`, `[true,false]`, "x 1\nx 0\n")
	f("a constant", `x: {type: gauge, value: 1, labels: {v: .version}}`, `{"version":"1.2"}`, "x{v=\"1.2\"} 1\n")

	f("items and labels",
		`x: {type: gauge, items: '.list[]', value: .v, labels: {b: .n, a: .m.k}, const_labels: {site: oslo}}`,
		`{"list":[{"n":"one","m":{"k":true},"v":1},{"n":2,"m":{"k":"q\"\\\n"},"v":2}]}`, `
x{a="true",b="one",site="oslo"} 1
x{a="q\"\\\n",b="2",site="oslo"} 2
`)
	f("integers keep their digits in labels",
		`x: {type: gauge, items: '.[]', value: 1, labels: {id: .id, jq: '.id | .'}}`,
		`[{"id":9007199254740993},{"id":123456789012345678901234567890},{"id":1655371000}]`, `
x{id="9007199254740993",jq="9007199254740993"} 1
x{id="123456789012345678901234567890",jq="123456789012345678901234567890"} 1
x{id="1655371000",jq="1655371000"} 1
`)
	f("labels that read alike one after another are not the same",
		"x: {type: gauge, value: 1, labels: {l: .a, m: .b.c}}\ny: {type: gauge, value: 1, labels: {l: .a.b, m: .c}}",
		`{"a":{"b":"deep"},"b":{"c":2},"c":3}`, `
x: no reading is valid: label .a: want a string, got {"b":"deep"}; it has b: write such as .a.b
y{l="deep",m="3"} 1
`)
	f("the parent's label",
		`x: {type: gauge, items: '.[] as $p | $p.children[] | {p: $p.name, c: .}', value: .c.v, labels: {parent: .p, child: .c.n}}`,
		`[{"name":"A","children":[{"n":"a1","v":1},{"n":"a2","v":2}]}]`, `
x{child="a1",parent="A"} 1
x{child="a2",parent="A"} 2
`)
	f("keys as labels", `x: {type: gauge, items: '.q | to_entries[]', value: .value, labels: {queue: .key}}`,
		`{"q":{"mail":3,"sms":4}}`, "x{queue=\"mail\"} 3\nx{queue=\"sms\"} 4\n")
	f("members of an object by key", `x: {type: gauge, items: '.[]', on_duplicate: last, value: .}`,
		`{"b":2,"a":1,"b":3}`, "x 1\nx 3\n")

	f("now is the tick's time", `x: {type: gauge, value: now - .at}`, `{"at":-60}`, "x 60\n")
	f("events", `x_total: {type: counter, items: '.[]', once_by: .id, labels: {team: .t}}`,
		`[{"id":1,"t":"a"},{"id":"two","t":"b"}]`, `
x_total{team="a"} 1 event 1
x_total{team="b"} 1 event two
`)
	f("an event's id of two fields", `x_total: {type: counter, items: '.[]', once_by: '[.id, .at]', value: .n}`,
		`[{"id":1,"at":"z","n":7}]`, "x_total 7 event [1,\"z\"]\n")
	f("an event without an id", `x_total: {type: counter, items: '.[]', once_by: .id}`,
		`[{"id":null},{}]`, "x_total: none of 2 readings is valid: item 0 of .[]: once_by .id is missing\n")

	f("missing is dropped and counted", `x: {type: gauge, items: '.[]', value: .v, labels: {n: .n}}`,
		`[{"v":1,"n":"a"},{"v":null,"n":"b"},{"n":"c"},{"v":4}]`, `
x{n="a"} 1
x 4
x drops 2 missing: item 1 of .[] (.n: "b"): value .v is missing
`)
	f("missing is an error", `x: {type: gauge, value: .v, missing: error}`+"\n"+`y: {type: gauge, value: .w}`,
		`{"w":2}`, "x: value .v is missing; at . there is w\ny 2\n")
	f("a label that is missing is absent", `x: {type: gauge, items: '.[]', value: .v, labels: {n: .n, m: .m, o: .o}}`,
		`[{"v":1,"n":null,"m":"a"},null,{"v":2,"n":"b","p":1}]`, `
x{m="a"} 1
x{n="b"} 2
x drops 1 missing: item 1 of .[]: it is null
x warns: label .o is missing in all items of .[] (2); at . there are m, n, v
`)
	f("the only label is missing", `x: {type: gauge, value: .v, labels: {n: .data.name}}`,
		`{"v":1,"data":{"nme":"a"}}`, "x 1\nx warns: label .data.name is missing; at .data there is nme\n")
	f("a label that is missing is an error", `x: {type: gauge, items: '.[]', value: .v, labels: {n: .n}, missing: error}`,
		`[{"v":1,"n":"a"},{"v":2}]`, "x: item 1 of .[]: label .n is missing; at . there is v\n")
	f("missing is zero, or no label", `x: {type: gauge, items: '.[]', value: .v, labels: {n: .n}, missing: zero}`,
		`[{"n":"a"},{"v":2}]`, "x{n=\"a\"} 0\nx 2\n")

	f("map", `x: {type: gauge, items: '.[]', value: ., map: {ok: 1, warn: 2, "true": 3}, default: -1, on_duplicate: last}`,
		`["ok","warn","bad",true]`, "x 1\nx 2\nx -1\nx 3\n")
	f("map that drops", `x: {type: gauge, value: .s, map: {ok: 1}, default: drop}`,
		`{"s":"odd"}`, "x drops 1 unmapped: value .s: \"odd\" is not in map\n")

	f("not a number", `x: {type: gauge, items: '.[]', value: ., on_duplicate: last}`,
		`["95.2 Mbps",{"a":1},[2],"NaN","0x10","",1e999]`, "x: none of 7 readings is valid: item 0 of .[]: value .: want a number, got \"95.2 Mbps\"; for the number in it write quantity(\"bps\")\n")
	f("not a label", `x: {type: gauge, value: 1, labels: {l: .l}}`,
		`{"l":[1]}`, "x: no reading is valid: label .l: want a string, got [1]; for its items as one text write .l | join(\",\")\n")
	f("a label that is too long", `x: {type: gauge, value: 1, labels: {l: .l}}`,
		`{"l":"`+strings.Repeat("a", 5000)+`"}`, "x: no reading is valid: label .l has 5000 bytes, more than 4096\n")
	f("a label that is not UTF-8", `x: {type: gauge, value: 1, labels: {l: .l}}`,
		"{\"l\":\"\xff\"}", "x: no reading is valid: label .l is not UTF-8\n")

	f("an expression that fails costs its item",
		`x: {type: gauge, items: '.[]', value: '.v | ascii_downcase | length', on_duplicate: last}`,
		`[{"v":"abc"},{"v":5}]`, `
x 3
x drops 1 expression: item 1 of .[]: value .v | ascii_downcase | length: ascii_downcase cannot be applied to: number (5)
`)
	f("a path through a text", `x: {type: gauge, value: .a.b}`, `{"a":"t"}`,
		"x: no reading is valid: value .a.b: cannot look up \"b\" in the string \"t\"\n")
	f("several values", `x: {type: gauge, value: '.[]'}`, `[1,2]`,
		"x: no reading is valid: value .[]: returns more than one value: iterate with items instead\n")
	f("items that are null cost their metrics alone",
		`x: {type: gauge, items: '.list[]', value: .v}`+"\n"+`y: {type: gauge, value: .y}`,
		`{"list":null,"y":1}`, "x: items .list[]: cannot iterate over null; write []? if the list may be missing\ny 1\n")
	f("items that are not there", `x: {type: gauge, items: .qeues, value: 1}`, `{"queues":[1]}`, "x: no reading is valid: item 0 of .qeues: it is null\n")
	f("a path through a list", `x: {type: gauge, items: .list, value: .v}`, `{"list":[1]}`,
		"x: no reading is valid: item 0 of .list: value .v: cannot look up \"v\" in a list; write [] to iterate over its items\n")
	f("items that may be missing", `x: {type: gauge, items: '.list[]?', value: .v}`, `{}`, "")
	f("the tick's error", `x: {type: gauge, value: .v}`, `<html>`, "error: want JSON, got markup that begins with \"<html>\": is it a login or error page?\n")
}

// TestReuse checks that a tick leaves nothing behind for the next one.
func TestReuse(t *testing.T) {
	doc := &fixed{}
	s, err := configOf(t, `x: {type: gauge, items: '.[]', value: .v, labels: {n: .n}}`).New(sources.Env{Fetch: doc})
	if err != nil {
		t.Fatal(err)
	}
	for _, tick := range []struct{ text, want string }{
		{`[{"n":"a","v":1},{"n":"b","v":2},{"n":"c"}]`, "x{n=\"a\"} 1\nx{n=\"b\"} 2\nx drops 1 missing: item 2 of .[] (.n: \"c\"): value .v is missing; at . there is n\n"},
		{`7`, "x: items .[]: cannot iterate over 7\n"},
		{`[{"n":"d","v":3}]`, "x{n=\"d\"} 3\n"},
		{`[{"o":"d","v":4,"n":"e"}]`, "x{n=\"e\"} 4\n"},
	} {
		doc.text = tick.text
		readings, err := s.Collect(t.Context(), sources.Tick{})
		if err != nil {
			t.Fatal(err)
		}
		if got := show(readings); got != tick.want {
			t.Errorf("%s: got\n%swant\n%s", tick.text, got, tick.want)
		}
	}
}

// TestTicksTakeTheSameMemory checks that label values of earlier ticks make room for those of later ones.
func TestTicksTakeTheSameMemory(t *testing.T) {
	s := sourceOf(t, `x: {type: gauge, items: '.[]', value: .v, labels: {n: .n}}`, `[{"n":"a","v":1},{"n":"b","v":2}]`)
	for range 3 {
		if _, err := s.Collect(t.Context(), sources.Tick{}); err != nil {
			t.Fatal(err)
		}
		if n := len(s.(*source).arena); n != 2 {
			t.Fatalf("%d label values are kept, want those of the last tick: 2", n)
		}
	}
}

// TestEndless checks that the end of the context stops an endless expression.
func TestEndless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sourceOf(t, `x: {type: gauge, value: 'def f: f; f'}`, `{}`)
		cause := errors.New("time is up")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			// The expression never blocks, so the fake clock does not move.
			cancel(cause)
		}()
		if _, err := s.Collect(ctx, sources.Tick{Time: time.Now()}); !errors.Is(err, cause) {
			t.Errorf("got %v, want the cause of the end", err)
		}
	})
}

// TestTimeEndsAWalkThatYieldsNothing checks that a walk notices the end of its context even if it has no results.
func TestTimeEndsAWalkThatYieldsNothing(t *testing.T) {
	s := sourceOf(t, `x: {type: gauge, items: '.[] | select(. > 1)', value: 1}`, "["+strings.Repeat("1,", 2000)+"1]")
	cause := errors.New("time is up")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := s.Collect(ctx, sources.Tick{}); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause of the end", err)
	}
	if visited := s.(*source).evaluator.visited; visited != 1024 {
		t.Errorf("%d items were visited", visited)
	}
}

// TestNothingIsAllocatedForAReading checks that more readings do not take more allocations. The labels are strings of the document, and the
// values and some labels are computed.
func TestNothingIsAllocatedForAReading(t *testing.T) {
	item := `{"id":"r1","team":{"name":"Team-A"},"open":12345,"took":1.25,"at":"2026-03-01T12:00:00Z"},`
	allocations := func(items int) float64 {
		s := sourceOf(t, `
a: {type: gauge, items: '.[] | select(.open > 1 and .team)', value: (.open - 7) / 60, labels: {id: .id, team: '.team.name // "none"', n: .open | tostring}, on_duplicate: last}
b: {type: gauge, items: '.[] | select(.open > 1 and .team)', value: now - (.at | fromdate), labels: {id: .id, team: .team.name | ascii_downcase}, on_duplicate: last}
`, "["+strings.Repeat(item, items-1)+strings.TrimSuffix(item, ",")+"]")
		return testing.AllocsPerRun(5, func() {
			if _, err := s.Collect(t.Context(), sources.Tick{}); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocations(10), allocations(1000); many > few+5 {
		t.Errorf("%v allocations for 1000 items, %v for 10", many, few)
	}
}

// skipping is a fetcher of a document that lacks some of its items.
type skipping struct {
	fixed
	skipped sources.Skipped
}

func (s *skipping) Fetch(ctx context.Context, tick sources.Tick, r sources.Request) (*sources.Document, error) {
	doc, err := s.fixed.Fetch(ctx, tick, sources.Request{})
	if err == nil {
		doc.Skipped = s.skipped
	}
	return doc, err
}

// TestSkippedItems checks the case that the document lacks some items. Each metric counts them as drops. A metric whose value would be
// wrong without them fails: one of the whole document, a sum without labels, and a counter that is a sum.
func TestSkippedItems(t *testing.T) {
	doc := &skipping{fixed{text: `{"list":[{"v":1}]}`, parser: sources.Parser{}}, sources.Skipped{Items: 2, First: errors.New("GET /3: 404")}}
	s, err := configOf(t, `
each: {type: gauge, items: '.list[]', value: .v}
whole: {type: gauge, value: '.list | length'}
sum: {type: gauge, items: '.list[]', value: .v, on_duplicate: sum}
sum_by: {type: gauge, items: '.list[]', value: .v, on_duplicate: sum, labels: {v: .v}}
t_total: {type: counter, items: '.list[]', value: .v, on_duplicate: sum, labels: {v: .v}}
up_total: {type: counter, items: '.list[]', value: .v, on_duplicate: sum, from: increment}
`).New(sources.Env{Fetch: doc})
	if err != nil {
		t.Fatal(err)
	}
	readings, err := s.Collect(t.Context(), sources.Tick{})
	want := strings.NewReplacer("DROPS", "drops 2 skipped: GET /3: 404", "LACKS", "not computed: the document lacks 2 of its items, and this metric needs all of them; the first: GET /3: 404").Replace(
		"each 1\neach DROPS\nsum: LACKS\nsum_by{v=\"1\"} 1\nsum_by DROPS\nt_total: LACKS\nup_total 1\nup_total DROPS\nwhole: LACKS\n")
	if got := show(readings); got != want || err != nil {
		t.Errorf("got %v\n%swant\n%s", err, got, want)
	}
}

// TestItemsAreBounded checks both sides of the bound on items.
func TestItemsAreBounded(t *testing.T) {
	const config = "x: {type: gauge, items: '.[]', value: 'null'}"
	items := strings.Repeat("0,", maxItems-1)
	if got := collect(t, config, "["+items+"0]"); got != "x: none of 2000000 readings is valid: item 0 of .[]: value null is missing\n" {
		t.Errorf("got %.300s", got)
	}
	if got := collect(t, config, "["+items+"0,0]"); got != "x: items .[]: more than 2000000 items: select fewer of them in items\n" {
		t.Errorf("got %.300s", got)
	}
}

// TestAnswers checks which metrics have the answer that their readings come from: those that add up readings, unless they count events by their
// ids, or give other readings of the same document at another time.
func TestAnswers(t *testing.T) {
	for config, has := range map[string]bool{
		"{type: counter, value: .v, from: increment}":                                                 true,
		"{type: counter, items: '.l[]', from: events}":                                                true,
		"{type: gauge, value: .v, from: increment}":                                                   true,
		"{type: histogram, value: .v}":                                                                true,
		"{type: summary, items: '.l[]', value: .}":                                                    true,
		"{type: histogram, value: .v, delta: true}":                                                   true,
		"{type: counter, items: '.l[]', from: increment, value: .now + .known + .\"now\" + .nowhere}": true,
		"{type: gauge, items: '.l[]', name_from: '\"x_total\"', value: '1', from: increment}":         true,
		"{type: counter, value: .v}":                                                                  false,
		"{type: gauge, value: .v, delta: true}":                                                       false,
		"{type: counter, items: '.l[]', once_by: .}":                                                  false,
		"{type: histogram, value: now - .v}":                                                          false,
		"{type: histogram, value: '[now-.v][0]'}":                                                     false,
		"{type: counter, items: '.l[] | select(. >= $start)', from: events}":                          false,
		"{type: counter, items: '.l[]', from: events, labels: {old: '. < $end'}}":                     false,
	} {
		c := configOf(t, "m_total: "+config)
		if strings.Contains(config, "gauge") || strings.Contains(config, "histogram") || strings.Contains(config, "summary") {
			c = configOf(t, "m: "+config)
		}
		s, err := c.New(sources.Env{Fetch: &fixed{text: `{"v": 1, "l": [1, 2, null], "now": 1, "known": 1}`, answer: 7}})
		if err != nil {
			t.Fatal(err)
		}
		for tick := range 2 {
			readings, err := s.Collect(t.Context(), sources.Tick{Time: time.Unix(0, 0)})
			if err != nil {
				t.Fatal(err)
			}
			m := readings[len(readings)-1]
			if (m.Answers != nil) != has || has && (m.Answers[0] != metric.Answer{ID: 7, Rows: len(m.Rows)} || len(m.Answers) != 1) {
				t.Errorf("%s, tick %d: %d rows of the answers %+v", config, tick, len(m.Rows), m.Answers)
			}
		}
	}
}
