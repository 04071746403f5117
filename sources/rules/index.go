package rules

import (
	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
)

// compileSuffix compiles a term that ends in .name, [0] or one of these and ?.
func compileSuffix(t *gojq.Term, last int) (step, error) {
	s, optional := t.SuffixList[last], false
	base := *t
	if s.Optional {
		optional = true
		if last--; last < 0 { // .name?
			if base.SuffixList = nil; t.Type != gojq.TermTypeIndex {
				return nil, needs(t)
			}
			return compileIndex(t.Index, true, t)
		}
		s = t.SuffixList[last]
	}
	if s.Index == nil {
		return nil, needs(t)
	}
	base.SuffixList = t.SuffixList[:last]
	before, err := compileTerm(&base)
	if err != nil {
		return nil, err
	}
	index, err := compileIndex(s.Index, optional, t)
	if err != nil {
		return nil, err
	}
	return pipe(before, index), nil
}

// compileIndex compiles .name and .[0]; with ? what has no members gives nothing.
func compileIndex(i *gojq.Index, optional bool, in *gojq.Term) (step, error) {
	if i.Name != "" {
		return member(i.Name, optional), nil
	}
	key := &gojq.Term{Type: gojq.TermTypeString, Str: i.Str}
	if i.Str == nil {
		if i.IsSlice || i.Start == nil || i.Start.Term == nil || !plain(i.Start) {
			return nil, needs(in)
		}
		key = i.Start.Term
	}
	switch key.Type {
	case gojq.TermTypeString, gojq.TermTypeNumber, gojq.TermTypeUnary: // constants, which need no machine
		s, err := compileTerm(key)
		if err != nil {
			return nil, needs(in)
		}
		switch k, _ := s(nil, value{}); {
		case k.form == text:
			return member(k.text, optional), nil
		case k.form == integer && !optional:
			return element(k.int()), nil
		}
	}
	return nil, needs(in)
}

func member(name string, optional bool) step {
	return func(_ *machine, in value) (value, bool) {
		if in.isNull() {
			return value{}, true
		}
		if in.form == inDoc && in.doc.Kind() == document.Object {
			return ofDocument(in.doc.Get(name)), true
		}
		return value{form: none}, optional
	}
}

// element is the n-th item of a list, from its end where n is negative.
func element(n int64) step {
	return func(_ *machine, in value) (value, bool) {
		if in.isNull() {
			return value{}, true
		}
		if in.form != inDoc || in.doc.Kind() != document.Array {
			return value{}, false
		}
		at := n
		if at < 0 {
			at += int64(in.doc.Len())
		}
		for item := range in.doc.Items {
			if at == 0 {
				return ofDocument(item), true
			}
			at--
		}
		return value{}, true
	}
}
