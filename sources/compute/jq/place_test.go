package jq

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/collectington/collectington/sources"
)

// TestExpressionsAtOnePlace holds that expressions that share their lookups mean what jq means, whichever items they are
// asked about in turn.
func TestExpressionsAtOnePlace(t *testing.T) {
	w := writer{rand.New(rand.NewPCG(3, 4)).IntN}
	for range 500 {
		walk := &place{}
		var all []*Expr
		for len(all) < 4 {
			if x := exprOf(t, w.expr(2)); x.stages != nil {
				all = append(all, x.at(walk))
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

// TestPaths holds that objects at the end of one path are read at one place, however the path is written.
func TestPaths(t *testing.T) {
	for _, text := range []string{".a.b", ".a | .b", ".a.b?", ".a | .b?"} {
		walk := &place{}
		exprOf(t, text).at(walk)
		if next := walk.at("a").members.Slot("another"); next != 1 || len(walk.inner) != 1 {
			t.Errorf("%s looks up %d members of .a, and has %d places", text, next, len(walk.inner))
		}
	}
}
