package jq

import (
	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
)

// compileSuffix compiles a term that ends in .name, [0] or one of these and ?.
func (p *place) compileSuffix(t *gojq.Term, last int) (step, error) {
	s, optional := t.SuffixList[last], false
	base := *t
	if s.Optional {
		optional = true
		if last--; last < 0 { // .name?
			if base.SuffixList = nil; t.Type != gojq.TermTypeIndex {
				return nil, needs(t)
			}
			return p.compileIndex(t.Index, true, t)
		}
		s = t.SuffixList[last]
	}
	if s.Index == nil {
		return nil, needs(t)
	}
	base.SuffixList = t.SuffixList[:last]
	before, err := p.compileTerm(&base)
	if err != nil {
		return nil, err
	}
	index, err := p.after(&gojq.Query{Term: &base}).compileIndex(s.Index, optional, t)
	if err != nil {
		return nil, err
	}
	return pipe(before, index), nil
}

// compileIndex compiles .name and .[0]; with ? what has no members gives nothing.
func (p *place) compileIndex(i *gojq.Index, optional bool, in *gojq.Term) (step, error) {
	key := &gojq.Term{Type: gojq.TermTypeString, Str: i.Str}
	if i.Name != "" {
		key.Str = &gojq.String{Str: i.Name}
	} else if i.Str == nil {
		if i.IsSlice || i.Start == nil || i.Start.Term == nil || !plain(i.Start) {
			return nil, needs(in)
		}
		key = i.Start.Term
	}
	switch key.Type {
	case gojq.TermTypeString, gojq.TermTypeNumber, gojq.TermTypeUnary: // constants, which need no machine
		s, err := p.compileTerm(key)
		if err != nil {
			return nil, needs(in)
		}
		switch k, _ := s(nil, value{}); {
		case k.form == text && optional:
			return p.maybe(k.text()), nil
		case k.form == text:
			return p.follow([]string{k.text()}), nil
		case k.form == integer && !optional:
			return element(k.int()), nil
		}
	}
	return nil, needs(in)
}

// follow is a path of members, the identity where it is empty.
func (p *place) follow(path []string) step {
	members := p.path(path)
	return func(_ *machine, in value) (value, bool) {
		if in.form != inDoc {
			return in, len(members) == 0 || in.form == null
		}
		v := in.doc()
		for _, member := range members {
			switch v.Kind() {
			case document.Object:
				v = member.of.Get(v, member.slot)
			case document.Null:
				return value{}, true
			default:
				return value{}, false
			}
		}
		return ofDocument(v), true
	}
}

// maybe is .name?, which gives nothing of what has no members.
func (p *place) maybe(name string) step {
	index := p.follow([]string{name})
	return func(m *machine, in value) (value, bool) {
		v, ok := index(m, in)
		if !ok {
			v = value{form: none}
		}
		return v, true
	}
}

// element is the n-th item of a list, from its end where n is negative.
func element(n int64) step {
	return func(_ *machine, in value) (value, bool) {
		if in.isNull() {
			return value{}, true
		}
		if in.form != inDoc || in.doc().Kind() != document.Array {
			return value{}, false
		}
		at := n
		if at < 0 {
			at += int64(in.doc().Len())
		}
		for item := range in.doc().Items {
			if at == 0 {
				return ofDocument(item), true
			}
			at--
		}
		return value{}, true
	}
}
