package document

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestLookup checks that Lookup.Get returns the same as Value.Get, for objects with similar and with different keys.
func TestLookup(t *testing.T) {
	var l Lookup
	r := rand.New(rand.NewPCG(1, 2))
	keys := []string{`id`, `team`, `é`, `a"b`, ``, `not there`}
	write := map[string][]string{`é`: {`é`, `\u00e9`}, `a"b`: {`a\"b`, `\u0061\u0022b`}, `id`: {`id`, `\u0069d`}}
	slots := make([]int, len(keys))
	for i, key := range keys {
		slots[i] = l.Slot(key)
		if again := l.Slot(key); again != slots[i] {
			t.Fatalf("%q has the slots %d and %d", key, slots[i], again)
		}
	}
	var parser Parser
	members := []string{"id", "team", "é", "other"}
	for n := range 200 {
		if n%5 == 0 { // another layout
			members = members[:0]
			for range r.IntN(7) {
				members = append(members, []string{"id", "id", "team", "é", `a"b`, "", "other", "more"}[r.IntN(8)])
			}
		}
		var items []string
		for range 10 {
			var parts []string
			for _, key := range members {
				if r.IntN(20) > 0 {
					if ways := write[key]; ways != nil {
						key = ways[r.IntN(2)*r.IntN(2)]
					}
					parts = append(parts, fmt.Sprintf(`"%s":[%d]`, key, r.IntN(1000)))
				}
			}
			items = append(items, "{"+strings.Join(parts, ",")+"}")
		}
		text := "[" + strings.Join(items, ",") + `,7,null,["id"]]`
		l.Forget()
		doc, err := parser.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for item := range doc.Items {
			for i := range keys {
				i = (i + n) % len(keys)
				if got, want := l.Get(item, slots[i]), item.Get(keys[i]); got != want {
					t.Fatalf("%q of %s is %s, want %s", keys[i], item, got, want)
				}
			}
		}
	}
	l.Forget()
	if got := l.Get(Value{}, slots[0]); got != (Value{}) {
		t.Errorf("a member of null is %s", got)
	}
}

// TestLookupOfManyKeys checks that the memory for objects with very many members is bounded.
func TestLookupOfManyKeys(t *testing.T) {
	var l Lookup
	last := l.Slot("k5000")
	var b strings.Builder
	for i := range 5001 {
		fmt.Fprintf(&b, `,"k%d":%d`, i, i)
	}
	doc := parsed(t, "{"+b.String()[1:]+"}")
	if got := l.Get(doc, last); got.Raw() != "5000" || len(l.layout) != maxLayout {
		t.Errorf("the last is %s, and %d keys are expected", got, len(l.layout))
	}
}
