package jq

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/pattern"
)

//go:embed builtin.jq
var builtin string

// hidden is a prefix for the names of internal functions. No expression can call them, because the prefix contains a space.
const hidden = "_ "

// The names of the checks. A check is a function that is put before or after an operation, and returns its input unchanged.
const (
	checkItems  = hidden + "items"  // for a value that is iterated over
	checkText   = hidden + "text"   // for a value that is written out
	checkWhole  = hidden + "whole"  // for a value that is processed as a whole
	checkDeep   = hidden + "deep"   // for a value that may be nested too deep
	checkIndex  = hidden + "index"  // for an index
	checkPath   = hidden + "path"   // for a path
	checkDigits = hidden + "digits" // for a text that is read as a number
	checkTable  = hidden + "table"  // for a value that is transposed
)

// checks returns the functions of gojq whose input must pass a check. A key is a function's name and number of arguments, and its value
// is the name of the check.
func checks() map[string]string {
	all := map[string]string{"delpaths/1": checkWhole, "error/0": checkText, "halt_error/0": checkText, "halt_error/1": checkText, "tonumber/0": checkDigits, "transpose/0": checkTable}
	for _, name := range []string{
		"add/0", "ascii_downcase/0", "ascii_upcase/0", "explode/0", "flatten/0", "flatten/1", "format/1", "implode/0", "keys/0", "ltrimstr/1",
		"reverse/0", "rtrimstr/1", "tojson/0", "tostring/0", "trim/0",
		"_tobase64/0", "_tobase64d/0", "_tocsv/0", "_tohtml/0", "_tosh/0", "_totsv/0", "_touri/0", "_tourid/0",
	} {
		all[name] = checkText
	}
	return all
}

// argumentChecks returns the functions of gojq whose first argument must pass a check, in the same form as the result of the function
// "checks".
func argumentChecks() map[string]string {
	return map[string]string{"setpath/2": checkPath, "getpath/1": checkPath, "error/1": checkText, "strftime/1": checkText, "strptime/1": checkText}
}

// bound rewrites a query because gojq cannot interrupt some operations: operators, iteration, indices, updates, and functions that
// are written in Go. In the new query, a function of the meter replaces each such operation, or checks its input first. Functions that
// are written in jq are rewritten like the query. The meaning of the query stays the same, but a run ends when it exceeds its limits.
func bound(q *gojq.Query) error {
	b := &binder{checks: checks(), arguments: argumentChecks(), replaced: replaced(), known: map[string]bool{}}
	b.query(q)
	q.FuncDefs = append(b.library, q.FuncDefs...)
	return b.err
}

// binder rewrites a query. It does not change calls of functions that the query itself defines.
type binder struct {
	own               []string // the functions and parameters in scope that the query defines: name and number of arguments
	checks, arguments map[string]string
	replaced          map[string]bool
	known             map[string]bool // the functions that were added to library
	library           []*gojq.FuncDef // functions written in jq that the query needs
	err               error
}

func key(name string, arguments int) string { return name + "/" + strconv.Itoa(arguments) }

// scoped calls f and removes the names that f has added to the field "own".
func (b *binder) scoped(f func()) {
	mark := len(b.own)
	f()
	b.own = b.own[:mark]
}

func (b *binder) queries(all ...*gojq.Query) {
	for _, q := range all {
		if q != nil {
			b.scoped(func() { b.query(q) })
		}
	}
}

func (b *binder) query(q *gojq.Query) {
	for _, def := range q.FuncDefs {
		b.define(def)
	}
	if q.Term != nil {
		b.term(q.Term)
		return
	}
	b.patterns(q.Patterns)
	b.queries(q.Left, q.Right)
	b.operator(q)
}

func (b *binder) define(def *gojq.FuncDef) {
	b.own = append(b.own, key(def.Name, len(def.Args)))
	b.scoped(func() { b.body(def) })
}

func (b *binder) body(def *gojq.FuncDef) {
	for _, name := range def.Args {
		b.own = append(b.own, key(strings.TrimPrefix(name, "$"), 0))
	}
	b.query(def.Body)
}

// operator rewrites an operator whose operands were already rewritten.
func (b *binder) operator(q *gojq.Query) {
	switch q.Op {
	case gojq.OpAdd, gojq.OpSub, gojq.OpMul, gojq.OpDiv, gojq.OpMod, gojq.OpEq, gojq.OpNe, gojq.OpLt, gojq.OpLe, gojq.OpGt, gojq.OpGe:
		*q = gojq.Query{FuncDefs: q.FuncDefs, Term: call(hidden+q.Op.String(), q.Left, q.Right).Term}
	case gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul, gojq.OpUpdateDiv, gojq.OpUpdateMod: // rewritten as gojq compiles them
		const operand = "$%0"
		name := hidden + strings.TrimSuffix(q.Op.String(), "=")
		update := &gojq.Query{Op: gojq.OpModify, Left: q.Left, Right: call(name, &gojq.Query{Term: identity()}, call(operand))}
		update = checked(checkDeep, update)
		*q = gojq.Query{FuncDefs: q.FuncDefs, Op: gojq.OpPipe, Left: q.Right, Patterns: []*gojq.Pattern{{Name: operand}}, Right: update}
	case gojq.OpAssign, gojq.OpModify, gojq.OpUpdateAlt:
		check := checkDeep
		if q.Op == gojq.OpModify && b.mayBeEmpty(q.Right) { // in this case gojq processes the whole value
			check = checkWhole
		}
		update := *q
		update.FuncDefs = nil
		*q = *checked(check, &update)
		q.FuncDefs = update.FuncDefs
	}
}

// mayBeEmpty returns false only if an expression always has a value. For some expressions that always have a value, it returns true
// nevertheless. The expression must be rewritten already.
func (b *binder) mayBeEmpty(q *gojq.Query) bool {
	switch t := q.Term; {
	case t != nil:
		return b.termMayBeEmpty(t)
	case q.Op == gojq.OpAlt:
		return b.mayBeEmpty(q.Right)
	case q.Op == gojq.OpComma:
		return b.mayBeEmpty(q.Left) && b.mayBeEmpty(q.Right)
	}
	return b.mayBeEmpty(q.Left) || b.mayBeEmpty(q.Right)
}

func (b *binder) termMayBeEmpty(t *gojq.Term) bool {
	for _, s := range t.SuffixList {
		if s.Iter || s.Optional {
			return true
		}
	}
	switch t.Type {
	case gojq.TermTypeIdentity, gojq.TermTypeIndex, gojq.TermTypeNumber, gojq.TermTypeTrue, gojq.TermTypeFalse, gojq.TermTypeNull,
		gojq.TermTypeArray, gojq.TermTypeString:
		return false
	case gojq.TermTypeQuery:
		return b.mayBeEmpty(t.Query)
	case gojq.TermTypeIf:
		branches := []*gojq.Query{t.If.Cond, t.If.Then}
		if t.If.Else != nil {
			branches = append(branches, t.If.Else)
		}
		for _, e := range t.If.Elif {
			branches = append(branches, e.Cond, e.Then)
		}
		return slices.ContainsFunc(branches, b.mayBeEmpty)
	case gojq.TermTypeFunc:
		name, plain := strings.CutPrefix(t.Func.Name, hidden)
		name = key(name, len(t.Func.Args))
		switch {
		case strings.HasPrefix(t.Func.Name, "$"), strings.HasPrefix(name, "map/"), strings.HasPrefix(name, "sort_by/"):
			return false
		case plain && b.replaced[name], !plain && !slices.Contains(b.own, name) && (b.checks[name] != "" || name == "length/0" || name == "not/0"), plain && len(t.Func.Args) == 0 && !b.known[name]:
			return slices.ContainsFunc(t.Func.Args, b.mayBeEmpty)
		}
	}
	return true
}

func identity() *gojq.Term { return &gojq.Term{Type: gojq.TermTypeIdentity} }

// call returns a query that consists of a call of a function, or of a variable.
func call(name string, arguments ...*gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: arguments}}}
}

// checked returns a query with the check before q.
func checked(check string, q *gojq.Query) *gojq.Query {
	return &gojq.Query{Op: gojq.OpPipe, Left: call(check), Right: q}
}

// checkedAfter returns a query with the check after q.
func checkedAfter(q *gojq.Query, check string) *gojq.Query {
	return &gojq.Query{Op: gojq.OpPipe, Left: q, Right: call(check)}
}

func (b *binder) patterns(all []*gojq.Pattern) {
	for _, p := range all {
		b.patterns(p.Array)
		for _, o := range p.Object {
			b.text(o.KeyString)
			b.queries(o.KeyQuery)
			if o.Val != nil {
				b.patterns([]*gojq.Pattern{o.Val})
			}
		}
	}
}

// text rewrites the expressions inside a string.
func (b *binder) text(s *gojq.String) {
	if s != nil {
		b.queries(s.Queries...)
	}
}

// term rewrites a term and its suffixes.
func (b *binder) term(t *gojq.Term) {
	suffixes := t.SuffixList
	t.SuffixList = nil
	b.scoped(func() { b.plainTerm(t) })
	for _, s := range suffixes {
		b.index(s.Index)
		if s.Iter {
			*t = gojq.Term{Type: gojq.TermTypeQuery, Query: checkedAfter(&gojq.Query{Term: copyOf(t)}, checkItems)}
		}
		t.SuffixList = append(t.SuffixList, s)
	}
}

func copyOf(t *gojq.Term) *gojq.Term {
	c := *t
	return &c
}

// plainTerm rewrites a term without suffixes.
func (b *binder) plainTerm(t *gojq.Term) {
	switch t.Type {
	case gojq.TermTypeIndex:
		b.index(t.Index)
	case gojq.TermTypeFunc:
		b.function(t)
	case gojq.TermTypeRecurse:
		*t = *call("recurse").Term
		b.function(t)
	case gojq.TermTypeObject:
		for _, kv := range t.Object.KeyVals {
			b.text(kv.KeyString)
			b.queries(kv.KeyQuery, kv.Val)
		}
	case gojq.TermTypeArray:
		b.queries(t.Array.Query)
	case gojq.TermTypeUnary:
		b.term(t.Unary.Term)
	case gojq.TermTypeFormat:
		b.format(t)
	case gojq.TermTypeString:
		b.concatenation(t, t.Str, "tostring")
	case gojq.TermTypeIf:
		b.queries(t.If.Cond, t.If.Then, t.If.Else)
		for _, e := range t.If.Elif {
			b.queries(e.Cond, e.Then)
		}
	case gojq.TermTypeTry:
		b.queries(t.Try.Body, t.Try.Catch)
	case gojq.TermTypeReduce:
		b.patterns(t.Reduce.Patterns)
		b.queries(t.Reduce.Query, t.Reduce.Start, t.Reduce.Update)
	case gojq.TermTypeForeach:
		b.patterns(t.Foreach.Patterns)
		b.queries(t.Foreach.Query, t.Foreach.Start, t.Foreach.Update, t.Foreach.Extract)
	case gojq.TermTypeLabel:
		b.queries(t.Label.Body)
	case gojq.TermTypeQuery:
		b.queries(t.Query)
	}
}

// shortNumber is the maximum number of digits of an index that is not checked.
const shortNumber = 6

// index rewrites .[n], so that n is checked: setting an item at a large index would make a large list.
func (b *binder) index(i *gojq.Index) {
	if i == nil {
		return
	}
	b.text(i.Str)
	b.queries(i.Start, i.End)
	if i.Start == nil || i.IsSlice {
		return
	}
	if isConstant(i.Start) {
		return
	}
	i.Start = checkedAfter(&gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeQuery, Query: i.Start}}, checkIndex)
}

// isConstant reports whether an index is a text, a short number, or a negative number.
func isConstant(q *gojq.Query) bool {
	t := q.Term
	if t == nil || len(t.SuffixList) > 0 || len(q.FuncDefs) > 0 {
		return false
	}
	short := t.Type == gojq.TermTypeNumber && len(t.Number) <= shortNumber && !strings.ContainsAny(t.Number, "eE")
	text := t.Type == gojq.TermTypeString && t.Str.Queries == nil
	return short || text || t.Type == gojq.TermTypeUnary && t.Unary.Term.Type == gojq.TermTypeNumber
}

// format rewrites formats such as @csv, with or without a string.
func (b *binder) format(t *gojq.Term) {
	name := map[string]string{
		"@text": "tostring", "@json": "tojson", "@html": "_tohtml", "@uri": "_touri", "@urid": "_tourid", "@csv": "_tocsv", "@tsv": "_totsv",
		"@sh": "_tosh", "@base64": "_tobase64", "@base64d": "_tobase64d",
	}[t.Format]
	switch {
	case name == "": // gojq reports the error
	case t.Str == nil:
		*t = *call(name).Term
		b.function(t)
	default:
		b.concatenation(t, t.Str, name)
	}
}

// concatenation rewrites a string that contains expressions as a sum of strings. The argument "function" is the name of a function that
// is applied to the values of the expressions.
func (b *binder) concatenation(t *gojq.Term, s *gojq.String, function string) {
	if s.Queries == nil {
		return
	}
	var sum *gojq.Query
	for _, part := range s.Queries {
		if part.Term.Str == nil {
			part = &gojq.Query{Op: gojq.OpPipe, Left: part, Right: call(function)}
		}
		if sum == nil {
			sum = part
		} else {
			sum = &gojq.Query{Op: gojq.OpAdd, Left: sum, Right: part}
		}
	}
	b.queries(sum)
	*t = gojq.Term{Type: gojq.TermTypeQuery, Query: sum}
}

// function rewrites the call of a function.
func (b *binder) function(t *gojq.Term) {
	f := t.Func
	b.queries(f.Args...)
	name := key(f.Name, len(f.Args))
	if strings.HasPrefix(f.Name, "$") || slices.Contains(b.own, name) {
		return
	}
	b.checkPattern(f)
	if check := b.arguments[name]; check != "" {
		f.Args[0] = checkedAfter(&gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeQuery, Query: f.Args[0]}}, check)
	}
	switch check := b.checks[name]; {
	case check != "":
		*t = gojq.Term{Type: gojq.TermTypeQuery, Query: checked(check, &gojq.Query{Term: copyOf(t)})}
	case b.replaced[name]:
		f.Name = hidden + f.Name
	case b.known[name] || b.need(f.Name, len(f.Args)):
		f.Name = hidden + f.Name
	}
}

// checkPattern checks the regular expression in a call of a function such as "test", if the expression is a constant. If the expression is
// not valid, checkPattern sets b.err.
func (b *binder) checkPattern(f *gojq.Func) {
	switch key(f.Name, len(f.Args)) {
	case "test/1", "test/2", "match/1", "match/2", "capture/1", "capture/2", "scan/1", "scan/2", "split/2", "splits/1", "splits/2",
		"sub/2", "sub/3", "gsub/2", "gsub/3":
	default:
		return
	}
	t := f.Args[0].Term
	if t == nil || t.Type != gojq.TermTypeString || t.Str.Queries != nil || len(t.SuffixList) > 0 || b.err != nil {
		return
	}
	if _, err := pattern.Compile(t.Str.Str); err != nil {
		b.err = fmt.Errorf("the regular expression of %s: %w", f.Name, err)
	}
}

// need adds a function that is written in jq, and the functions that it calls, to the library. It returns false if no function of this
// name is written in jq.
func (b *binder) need(name string, arguments int) bool {
	text := builtinText(name, arguments)
	if text == "" {
		return false
	}
	query, err := gojq.Parse(text + " .")
	if err != nil {
		b.err = fmt.Errorf("jq: function %s: %w", name, err)
		return false
	}
	def := query.FuncDefs[0]
	b.known[key(name, arguments)] = true
	own := b.own
	b.own = nil
	b.body(def)
	b.own = own
	def.Name = hidden + name
	b.library = append(b.library, def)
	return true
}

// builtinText returns the definition of a function that is written in jq, or "".
func builtinText(name string, arguments int) string {
	for rest := builtin; ; {
		at := strings.Index(rest, "\ndef "+name)
		if at < 0 {
			return ""
		}
		rest = rest[at+1:]
		head := rest[len("def "+name):]
		found := -1
		if strings.HasPrefix(head, ":") {
			found = 0
		} else if strings.HasPrefix(head, "(") {
			list, _, _ := strings.Cut(head, ")")
			found = strings.Count(list, ";") + 1
		}
		if found == arguments {
			if end := strings.Index(rest, "\ndef "); end >= 0 {
				return rest[:end]
			}
			return rest
		}
	}
}
