// Package pattern searches texts with regular expressions in RE2 syntax. A search can be interrupted.
//
// To find one match, package regexp takes time proportional to the length of the text. To find all matches, it takes up to the square of
// this time. Its searches cannot be interrupted. A [Pattern] finds the same matches, but returns an error soon after its context has ended.
package pattern

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
	"unicode/utf8"
)

// Limits for a pattern. They are needed because the pattern may be in data that the agent has received.
const (
	MaxText = 4096    // length of the pattern in bytes
	maxSize = 200_000 // number of instructions of the compiled pattern
)

// ErrSize is the error for a pattern that is valid for package regexp, but too large.
var ErrSize = errors.New("the pattern is too large: use smaller numbers of repetitions")

// Pattern is a compiled regular expression. It is safe for concurrent use.
type Pattern struct {
	re       *regexp.Regexp
	after    *regexp.Regexp // finds the first match after the first character; nil if a match does not depend on the character before it
	at       *regexp.Regexp // finds a match directly after the first character; nil if no match is empty
	size     int            // number of instructions
	maxPlain int            // length of the longest text that is searched without interruptions, in bytes
	empty    bool           // the pattern may match the empty string
}

// maxWork limits searches without interruptions: bytes of text times instructions of the pattern. A search of this size takes about
// 50 ms.
const maxWork = 1 << 22

// Compile parses a regular expression.
func Compile(text string) (*Pattern, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("the pattern exceeds %d bytes", MaxText)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	if len(program.Inst) > maxSize {
		return nil, ErrSize
	}
	p := &Pattern{size: len(program.Inst), maxPlain: maxWork / len(program.Inst), empty: canBeEmpty(tree)}
	if p.re, err = regexp.Compile(text); err != nil {
		return nil, err
	}
	if looksBack(tree) {
		if p.after, err = regexp.Compile(`\A(?s:.)(?s:.*?)(` + tree.String() + `)`); err != nil {
			return nil, err
		}
	}
	if p.empty {
		p.at, err = regexp.Compile(`\A(?s:.)(` + tree.String() + `)`)
	}
	return p, err
}

// Regexp returns the regular expression.
func (p *Pattern) Regexp() *regexp.Regexp { return p.re }

// CanBeEmpty returns true if a match can be empty. For some patterns without empty matches, it returns true nevertheless.
func (p *Pattern) CanBeEmpty() bool { return p.empty }

// Find returns the first match, as regexp.FindStringSubmatchIndex does, or nil if there is none.
func (p *Pattern) Find(ctx context.Context, text string) ([]int, error) {
	return p.search(ctx, p.re, text)
}

// Each yields all matches that regexp.FindAllStringSubmatchIndex would return. It stops if yield returns an error.
func (p *Pattern) Each(ctx context.Context, text string, yield func(match []int) error) error {
	pos, end := 0, -1
	for pos <= len(text) {
		match, err := p.next(ctx, text, pos)
		if err != nil || match == nil {
			return err
		}
		again := match[1] == pos && match[0] == end // an empty match directly after the previous match is skipped, as in package regexp
		switch {
		case match[1] > pos:
			pos = match[1]
		case pos < len(text):
			_, width := utf8.DecodeRuneInString(text[pos:])
			pos += width
		default:
			pos++
		}
		end = match[1]
		if again {
			continue
		}
		if err := yield(match); err != nil {
			return err
		}
	}
	return nil
}

// EmptyAt returns the match at pos if it is empty, and nil otherwise. It also returns nil if pos is 0.
func (p *Pattern) EmptyAt(ctx context.Context, text string, pos int) ([]int, error) {
	if !p.empty || pos == 0 {
		return nil, nil
	}
	match, err := p.searchAfter(ctx, p.at, text, pos)
	if err != nil || match == nil || match[1] != pos {
		return nil, err
	}
	return match, nil
}

// next returns the first match at or after pos.
func (p *Pattern) next(ctx context.Context, text string, pos int) ([]int, error) {
	if pos > 0 && p.after != nil {
		return p.searchAfter(ctx, p.after, text, pos)
	}
	match, err := p.search(ctx, p.re, text[pos:])
	return moved(match, pos), err
}

// searchAfter searches with re, which is the expression in one of the fields "after" and "at". A match of re begins one character before
// pos.
func (p *Pattern) searchAfter(ctx context.Context, re *regexp.Regexp, text string, pos int) ([]int, error) {
	_, width := utf8.DecodeLastRuneInString(text[:pos])
	match, err := p.search(ctx, re, text[pos-width:])
	if match == nil {
		return nil, err
	}
	return moved(match[2:], pos-width), nil
}

// moved adds a number to all positions of a match, and returns the match.
func moved(match []int, by int) []int {
	for i := range match {
		if match[i] >= 0 {
			match[i] += by
		}
	}
	return match
}

func (p *Pattern) search(ctx context.Context, re *regexp.Regexp, text string) ([]int, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(text) <= p.maxPlain {
		return re.FindStringSubmatchIndex(text), nil
	}
	r := &reader{ctx: ctx, text: text, every: max(p.maxPlain/8, 1)}
	match := re.FindReaderSubmatchIndex(r)
	return match, r.err
}

// reader reads a text until the text or its context ends.
type reader struct {
	ctx       context.Context
	err       error
	text      string
	at        int
	every, to int // every: characters from one check of the context to the next; to: characters that are left until the next check
}

// ReadRune returns the next character, decoded as in package regexp.
func (r *reader) ReadRune() (rune, int, error) {
	if r.to--; r.to <= 0 {
		r.to = r.every
		if r.err = r.ctx.Err(); r.err != nil {
			r.at = len(r.text)
		}
	}
	if r.at >= len(r.text) {
		return 0, 0, io.EOF
	}
	c, width := utf8.DecodeRuneInString(r.text[r.at:])
	r.at += width
	return c, width, nil
}

// looksBack reports whether a match may depend on the character before it.
func looksBack(tree *syntax.Regexp) bool {
	switch tree.Op {
	case syntax.OpBeginLine, syntax.OpBeginText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	for _, part := range tree.Sub {
		if looksBack(part) {
			return true
		}
	}
	return false
}

// canBeEmpty returns true if the pattern can match the empty string. For some patterns that cannot, it returns true nevertheless.
func canBeEmpty(tree *syntax.Regexp) bool {
	switch tree.Op {
	case syntax.OpNoMatch, syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return false
	case syntax.OpCapture, syntax.OpPlus:
		return canBeEmpty(tree.Sub[0])
	case syntax.OpRepeat:
		return tree.Min == 0 || canBeEmpty(tree.Sub[0])
	case syntax.OpConcat:
		for _, part := range tree.Sub {
			if !canBeEmpty(part) {
				return false
			}
		}
	case syntax.OpAlternate:
		for _, part := range tree.Sub {
			if canBeEmpty(part) {
				return true
			}
		}
		return false
	}
	return true
}
