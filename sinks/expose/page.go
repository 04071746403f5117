package expose

import (
	"slices"
	"sync/atomic"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// variant is a form in which the page is asked for.
type variant struct {
	format expfmt.Format // with how names are escaped
	gzip   bool
}

// page is all that a scrape gets. It is never changed once it is made.
type page struct {
	variant
	body [][]byte
	size int
}

// edition keeps the page of one variant up to date.
type edition struct {
	variant
	page  atomic.Pointer[page]
	asked atomic.Int64 // when it was asked for last, in Unix seconds

	encoder *encoder
	pieces  map[*family]piece
	tail    piece
	hidden  int // series that cannot stand on it
}

func newEdition(v variant, created bool) *edition {
	var p packer = new(copier)
	if v.gzip {
		p = newZipper()
	}
	e := &edition{variant: v, encoder: newEncoder(v.format, p, created), pieces: map[*family]piece{}}
	e.tail = e.encoder.tail()
	return e
}

// publish makes the page of these families, which have their pieces.
func (e *edition) publish(families []*family) {
	pieces := make([]piece, 0, len(families)+1)
	taken := e.names(families)
	e.hidden = 0
	for _, f := range families {
		p := e.pieces[f]
		if taken != nil && taken[e.escaped(f)] != f {
			p = piece{hidden: f.series()}
		}
		pieces = append(pieces, p)
		e.hidden += p.hidden
	}
	made := &page{variant: e.variant, body: e.encoder.packer.page(append(pieces, e.tail))}
	for _, b := range made.body {
		made.size += len(b)
	}
	e.page.Store(made)
}

// names says which family has a name on the page, nil where all have their own. Two names can become one by escaping;
// then the one that needs none has it, or else the first.
func (e *edition) names(families []*family) map[string]*family {
	if e.encoder.escape.scheme == model.NoEscaping || !slices.ContainsFunc(families, (*family).foreign) {
		return nil
	}
	taken := make(map[string]*family, len(families))
	for _, f := range families {
		if e.escaped(f) == f.name {
			taken[f.name] = f
		}
	}
	for _, f := range families {
		if name := e.escaped(f); taken[name] == nil {
			taken[name] = f
		}
	}
	return taken
}

// escaped is the family's name in this edition.
func (e *edition) escaped(f *family) string {
	if f.legacy {
		return f.name
	}
	return model.EscapeName(f.name, e.encoder.escape.scheme)
}
