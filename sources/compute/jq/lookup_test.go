package jq

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// TestExpressionsShareLookups evaluates several expressions with the same root, for one item after another. The results must be the same as
// in jq.
func TestExpressionsShareLookups(t *testing.T) {
	w := writer{rand.New(rand.NewPCG(3, 4)).IntN}
	for range 500 {
		root := &pathNode{}
		var all []*Expr
		for len(all) < 4 {
			if x := exprOf(t, w.expr(2)); x.stages != nil {
				all = append(all, x.atNode(root))
			}
		}
		items := make([]string, 5)
		for i := range items {
			items[i] = w.doc(3)
		}
		var p sources.Parser
		doc, err := p.JSON("", []byte("["+strings.Join(items, ",")+"]"))
		if err != nil {
			t.Fatal(err)
		}
		for item := range doc.Root.Items {
			for _, x := range all {
				agreeOn(t, x, item)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// TestPathsShareNodes checks that a path has the same node in all the ways of writing it.
func TestPathsShareNodes(t *testing.T) {
	for _, text := range []string{".a.b", ".a | .b", ".a.b?", ".a | .b?"} {
		root := &pathNode{}
		exprOf(t, text).atNode(root)
		if next := root.child("a").members.Slot("another"); next != 1 || len(root.children) != 1 {
			t.Errorf("%s looks up %d members of .a, want 1, and the root has %d children, want 1", text, next, len(root.children))
		}
	}
}

// reused is a fetcher that returns one document after another in the same memory, as fetchers do.
type reused struct {
	text   string
	body   []byte
	parser sources.Parser
}

func (r *reused) Fetch(context.Context, sources.Tick, sources.Request) (*sources.Document, error) {
	r.body = append(r.body[:0], r.text...)
	return r.parser.JSON("GET http://api.test", r.body)
}

// TestMembersMoveBetweenTicks checks that nothing found in one document is used for the next one. In each case the second
// document has the objects of the first at the same positions, with the members in another order.
func TestMembersMoveBetweenTicks(t *testing.T) {
	for _, c := range []struct{ name, config, first, second, want string }{
		{
			"a member of the document", "x: {type: gauge, value: .requests}",
			`{"other":1,"requests":2}`, `{"requests":5,"other":9}`, "x 5\n",
		},
		{
			"a member of a member", "x: {type: gauge, value: .stats.requests}",
			`{"stats":{"other":1,"requests":2}}`, `{"stats":{"requests":5,"other":9}}`, "x 5\n",
		},
		{
			"a member three levels down", "x: {type: gauge, value: .a.b.c}",
			`{"a":{"b":{"d":1,"c":2}}}`, `{"a":{"b":{"c":5,"d":9}}}`, "x 5\n",
		},
		{
			"a member after a pipe", "x: {type: gauge, value: '(.a // .b) | .c'}",
			`{"b":{"d":1,"c":2}}`, `{"b":{"c":5,"d":9}}`, "x 5\n",
		},
		{
			"a member of an item's member", "x: {type: gauge, items: '.list[]', value: .n.v, labels: {l: .n.l}}",
			`{"list":[{"n":{"l":"a","v":1}}]}`, `{"list":[{"n":{"v":2,"l":3}}]}`, "x{l=\"3\"} 2\n",
		},
		{
			"a member in the items", "x: {type: gauge, items: '.list[] | select(.n.on == 1)', value: .n.v}",
			`{"list":[{"n":{"v":0,"on":1}}]}`, `{"list":[{"n":{"on":0,"v":1}}]}`, "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := &reused{}
			s, err := configOf(t, c.config).New(sources.Env{Fetch: doc})
			if err != nil {
				t.Fatal(err)
			}
			for _, doc.text = range []string{c.first, c.second} {
				readings, err := s.Collect(t.Context(), sources.Tick{})
				if err != nil {
					t.Fatal(err)
				}
				if got := show(readings); doc.text == c.second && got != c.want {
					t.Errorf("after %s, %s gives %q, want %q", c.first, c.second, got, c.want)
				}
			}
		})
	}
}

// withoutFastPath makes jq compute every expression of a source.
func withoutFastPath(s *source) *source {
	slow := func(x *Expr) {
		if x != nil {
			x.path, x.stages, x.step = nil, nil, nil
		}
	}
	for _, w := range s.walks {
		slow(w.items)
		for _, g := range w.groups {
			for _, x := range g.labels {
				slow(x)
			}
			for _, r := range g.metrics {
				slow(r.Value)
				slow(r.OnceBy)
				slow(r.Time)
			}
		}
	}
	return s
}

// summary returns the readings as text, without the texts of errors, since the errors of plain paths are worded differently.
func summary(readings metric.Readings) string {
	var b strings.Builder
	for _, m := range readings {
		fmt.Fprintf(&b, "%s failed %v\n", m.Desc.Name, m.Err != nil)
		for _, r := range m.Rows {
			fmt.Fprintf(&b, "%q %v %q %d\n", r.Labels, r.Value, r.Event, r.Time)
		}
		for _, d := range m.Drops {
			fmt.Fprintf(&b, "drops %d %s\n", d.Count, d.Reason)
		}
	}
	return b.String()
}

// path writes a path of up to three members.
func (w writer) path() string {
	text := ""
	for range 1 + w.pick(3) {
		text += w.of(".a", ".b", ".c", ".d", ".a", ".b", " | .a", " | .c", ".b?")
	}
	return w.of("", "", "", ".e | ") + strings.TrimPrefix(text, " | ")
}

// metrics writes a configuration of a few metrics. Some of them share their items, and some of these also share their labels.
func (w writer) metrics() string {
	var b strings.Builder
	items := []string{".list[]", w.path() + "[]?", ".list[] | select(" + w.path() + " != 3)", ".list[] | " + w.path()}
	labels := []string{"", ", labels: {l: '" + w.path() + "', m: '" + w.path() + "'}", ", labels: {l: '(" + w.path() + ") // (" + w.path() + ")'}"}
	for i := range 2 + w.pick(5) {
		value := w.of(w.path(), "("+w.path()+") // ("+w.path()+")", "if "+w.path()+" == 2 then "+w.path()+" else "+w.path()+" end", "("+w.path()+") + ("+w.path()+")")
		fmt.Fprintf(&b, "m%d: {type: gauge, on_duplicate: last, value: '%s'%s", i, value, w.of(labels...))
		if w.pick(3) > 0 {
			fmt.Fprintf(&b, ", items: '%s'", w.of(items...))
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// object writes an object whose members a, b, c and d are in random order. All objects of the same depth contain the same number
// of values, so that the objects of two documents are at the same positions.
func (w writer) object(depth int) string {
	names := []string{"a", "b", "c", "d"}
	if w.pick(8) == 0 {
		names[w.pick(4)] = w.of("e", "a", `\u0062`)
	}
	for i := range names {
		j := i + w.pick(len(names)-i)
		names[i], names[j] = names[j], names[i]
	}
	for i, name := range names {
		member := w.of("1", "2", "3", "4.5", `"5"`, "null", "true", `"x"`)
		if depth > 0 && name <= "b" {
			member = w.object(depth - 1)
		}
		names[i] = `"` + name + `":` + member
	}
	return "{" + strings.Join(names, ",") + "}"
}

// TestTicksAgreeWithJQ checks that a source has the same results as jq alone in each of several ticks. Between two ticks, objects and their
// members move to other positions.
func TestTicksAgreeWithJQ(t *testing.T) {
	w := writer{rand.New(rand.NewPCG(5, 6)).IntN}
	for range 400 {
		config := w.metrics()
		fast, slow := &reused{}, &reused{}
		s, reference := newSource(*configOf(t, config), fast), withoutFastPath(newSource(*configOf(t, config), slow))
		for tick := range 4 {
			object := strings.TrimSuffix(w.object(2), "}")
			fast.text = fmt.Sprintf(`%s,"list":[%s,%s,%s],"e":%s}`, object, w.object(1), w.object(1), w.object(1), w.object(2))
			slow.text = fast.text
			at := sources.Tick{Time: time.Unix(int64(tick), 0)}
			got, err := s.Collect(t.Context(), at)
			want, wantErr := reference.Collect(t.Context(), at)
			if err != nil || wantErr != nil {
				t.Fatal(err, wantErr)
			}
			if got, want := summary(got), summary(want); got != want {
				t.Fatalf("tick %d of\n%s%s\ngot\n%swant\n%s", tick, config, fast.text, got, want)
			}
		}
	}
}
