package expose

import (
	"slices"
	"sync/atomic"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// variant is a combination of format and compression that scrapers can request.
type variant struct {
	format expfmt.Format // includes how names are escaped
	gzip   bool
}

// page is the body of a response. It is never modified.
type page struct {
	variant
	body [][]byte
	size int
}

// rendering keeps the page of one variant up to date.
type rendering struct {
	variant
	page        atomic.Pointer[page]
	requestedAt atomic.Int64 // time of the last request, in Unix seconds

	encoder *encoder
	pieces  map[*family]piece
	tail    piece
	hidden  int // number of series that are missing because their escaped names collide
}

func newRendering(v variant, created bool) *rendering {
	var p packer = new(rawPacker)
	if v.gzip {
		p = newGzipPacker()
	}
	r := &rendering{variant: v, encoder: newEncoder(v.format, p, created), pieces: map[*family]piece{}}
	r.tail = r.encoder.tail()
	return r
}

// publish makes the page from the families. All of these families must be rendered already.
func (r *rendering) publish(families []*family) {
	pieces := make([]piece, 0, len(families)+1)
	owners := r.owners(families)
	r.hidden = 0
	for _, f := range families {
		p := r.pieces[f]
		if owners != nil && owners[r.escapedName(f)] != f {
			p = piece{hidden: f.series()}
		}
		pieces = append(pieces, p)
		r.hidden += p.hidden
	}
	made := &page{variant: r.variant, body: r.encoder.packer.page(append(pieces, r.tail))}
	for _, b := range made.body {
		made.size += len(b)
	}
	r.page.Store(made)
}

// owners returns which family each name on the page belongs to, or nil if no name is escaped. If several families have the same escaped
// name, the name belongs to the family that needs no escaping, or otherwise to the first family.
func (r *rendering) owners(families []*family) map[string]*family {
	if r.encoder.escape.scheme == model.NoEscaping || !slices.ContainsFunc(families, (*family).needsEscaping) {
		return nil
	}
	owners := make(map[string]*family, len(families))
	for _, f := range families {
		if r.escapedName(f) == f.name {
			owners[f.name] = f
		}
	}
	for _, f := range families {
		if name := r.escapedName(f); owners[name] == nil {
			owners[name] = f
		}
	}
	return owners
}

func (r *rendering) escapedName(f *family) string {
	if f.isLegacy {
		return f.name
	}
	return model.EscapeName(f.name, r.encoder.escape.scheme)
}
