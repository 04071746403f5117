package convert_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/collectington/collectington/agent/internal/convert"
)

func page(t *testing.T, text string) *convert.Page {
	t.Helper()
	p := convert.NewPage()
	if err := p.Read(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestCompare checks that each kind of difference is named.
func TestCompare(t *testing.T) {
	old := "# TYPE level gauge\nlevel{tank=\"a\",zone=\"\"} 1\nlevel{tank=\"b\"} 2\nlevel{tank=\"c\"} 3\n# TYPE runs counter\nruns 4\nmoving 5\ngone 6\ngo_threads 7\nnan NaN\n"
	late := strings.Replace(old, "moving 5", "moving 9", 1)
	now := "# TYPE level gauge\nlevel{tank=\"a\",job=\"x\",instance=\"y\"} 1\nlevel{tank=\"b\"} 2.5\nlevel{tank=\"d\"} 3\n# TYPE runs gauge\nruns 4\nmoving 7\nmore 8\ncton_x 1\nnan NaN\n"
	c := convert.Compare(page(t, old), page(t, late), page(t, now))
	want := []string{
		`value of level{tank="b"}: 2, cton 2.5`,
		`series gone: only the old exporter shows it, with 6`,
		`label tank of level{tank="c"}: "c", cton "d"`,
		`series more: only cton gives it, with 8`,
		`type of runs: counter, cton gauge`,
	}
	if diff := cmp.Diff(want, c.Differences); diff != "" || c.Same != 4 {
		t.Errorf("%d the same, - wanted, + got:\n%s", c.Same, diff)
	}
	if c := convert.Compare(page(t, old), page(t, old), page(t, old)); c.Same != 7 || len(c.Differences) > 0 {
		t.Errorf("a page and itself: %+v", c)
	}
}
