package expose

import (
	"slices"
	"sync/atomic"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// variant is a form in which the page is requested.
type variant struct {
	format expfmt.Format // with the escaping of names
	gzip   bool
}

// page is the body of a response. It does not change.
type page struct {
	variant
	body [][]byte
	size int
}

// rendering keeps the page of one variant up to date.
type rendering struct {
	variant
	page        atomic.Pointer[page]
	requestedAt atomic.Int64 // of the last request, in Unix seconds

	encoder *encoder
	pieces  map[*family]piece
	tail    piece
	hidden  int // series that are missing because their escaped names collide
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

// publish makes the page of these families. Each of them has been rendered.
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

// owners returns the family that each name on the page belongs to, or nil if no name is escaped. If escaped names are equal,
// the name belongs to the family that needs no escaping, else to the first one.
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
