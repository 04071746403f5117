package jq

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/collectington/collectington/agent/pattern"
)

// maxPatterns is the maximum number of compiled patterns that are kept.
const maxPatterns = 256

// The approximate memory of matches as jq represents them, in bytes.
const (
	matchSize = 512 // for a match or a capture
	pieceSize = 128 // for the text before a match, without the captures
)

// compilePattern returns a compiled pattern. The arguments are the text of the pattern, and flags as in jq's functions.
func (m *meter) compilePattern(text, flags string) (*pattern.Pattern, error) {
	at := [2]string{text, flags}
	if p := m.patterns[at]; p != nil {
		return p, nil
	}
	if strings.Contains(flags, "i") {
		text = "(?i)" + text
	}
	if strings.Contains(flags, "m") {
		text = "(?s)" + text
	}
	p, err := pattern.Compile(text)
	if err != nil {
		return nil, err
	}
	if m.patterns == nil || len(m.patterns) >= maxPatterns {
		m.patterns = map[[2]string]*pattern.Pattern{}
	}
	m.patterns[at] = p
	return p, nil
}

// search holds one call of a jq function that uses regular expressions, such as match or test.
type search struct {
	m       *meter
	pattern *pattern.Pattern
	text    string
	all     bool
}

// newSearch returns the search for the arguments, which are the pattern and the flags. It returns nil without an error if the arguments are
// invalid: gojq then reports the error.
func (m *meter) newSearch(in any, a []any) (*search, error) {
	text, ok := in.(string)
	re, also := a[0].(string)
	flags, isText := a[1].(string)
	if !ok || !also || !isText && a[1] != nil || strings.Trim(flags, "gim") != "" {
		return nil, nil
	}
	if len(re) > pattern.MaxText {
		return nil, m.fail(exceeded("searches for a pattern of %d bytes, more than %d", len(re), pattern.MaxText))
	}
	p, err := m.compilePattern(re, flags)
	switch {
	case errors.Is(err, pattern.ErrSize):
		return nil, m.fail(exceeded("searches: %v", err))
	case err != nil:
		return nil, nil
	}
	return &search{m, p, text, strings.Contains(flags, "g")}, nil
}

// each calls yield for each match that jq finds. Unlike package regexp, jq also finds an empty match directly after another match.
func (s *search) each(yield func(match []int) error) error {
	if !s.all {
		match, err := s.pattern.Find(s.m, s.text)
		if err != nil || match == nil {
			return err
		}
		return yield(match)
	}
	var last []int // the last match, unless it was empty
	between := func(next int) error {
		if last == nil || next == last[1] {
			return nil
		}
		empty, err := s.pattern.EmptyAt(s.m, s.text, last[1])
		if err != nil || empty == nil {
			return err
		}
		return yield(empty)
	}
	err := s.pattern.Each(s.m, s.text, func(match []int) error {
		if err := s.m.work(1); err != nil {
			return err
		}
		if err := between(match[0]); err != nil {
			return err
		}
		last = nil
		if match[0] < match[1] {
			last = match
		}
		return yield(match)
	})
	if err != nil {
		return err
	}
	return between(-1)
}

// match implements _match(pattern; flags; testing). It returns the matches or, if "testing" is true, only whether there is a match.
func (m *meter) match(in any, a []any) any {
	s, err := m.newSearch(in, a)
	switch {
	case err != nil:
		return err
	case s == nil:
		return m.original("_match", in, a...)
	case a[2] == true:
		found, err := s.pattern.Find(m, s.text)
		if err != nil {
			return m.fail(err)
		}
		return found != nil
	}
	matches := []any{}
	at, characters := 0, 0
	err = s.each(func(match []int) error {
		if err := m.allocate(matchSize * int64(len(match)) / 2); err != nil {
			return err
		}
		characters += utf8.RuneCountInString(s.text[at:match[0]])
		at = match[0]
		found := s.part(match, 0, characters)
		found["captures"] = s.captures(match, characters)
		matches = append(matches, found)
		return nil
	})
	if err != nil {
		return m.fail(err)
	}
	return matches
}

// captures returns the groups of a match, as jq represents them. The argument "characters" is the number of characters before the match.
func (s *search) captures(match []int, characters int) []any {
	names := s.pattern.Regexp().SubexpNames()
	captures := make([]any, len(match)/2-1)
	for i := range captures {
		capture := s.part(match, i+1, characters)
		capture["name"] = nil
		if name := names[i+1]; name != "" {
			capture["name"] = name
		}
		captures[i] = capture
	}
	return captures
}

// part returns a match or capture as jq represents it.
func (s *search) part(match []int, i, characters int) map[string]any {
	start, end := match[2*i], match[2*i+1]
	if start < 0 {
		return map[string]any{"offset": -1, "length": 0, "string": nil}
	}
	return map[string]any{
		"offset": characters + utf8.RuneCountInString(s.text[match[0]:start]),
		"length": utf8.RuneCountInString(s.text[start:end]),
		"string": s.text[start:end],
	}
}

// pieces is the function _pieces(pattern; flags). For each match it returns a list that has the text before the match, and the captures. It
// also returns the text after the last match.
func (m *meter) pieces(in any, a []any) any {
	s, err := m.newSearch(in, a)
	switch {
	case err != nil:
		return err
	case s == nil:
		return m.original("_pieces", in, a...)
	}
	parts := []any{}
	end := 0
	err = s.each(func(match []int) error {
		if err := m.allocate(int64(pieceSize + matchSize*(len(match)/2-1))); err != nil {
			return err
		}
		parts = append(parts, []any{s.text[end:match[0]], s.captures(match, 0)})
		end = match[1]
		return nil
	})
	if err != nil {
		return m.fail(err)
	}
	return map[string]any{"parts": parts, "tail": s.text[end:]}
}

// assemble is the function _assemble(tail). It builds strings from the texts that a substitution has made, and appends tail to each string.
// The input is a list of texts, each with the index of its string.
func (m *meter) assemble(in any, a []any) any {
	var all []*strings.Builder
	size := 0
	for _, x := range in.([]any) {
		pair := x.([]any)
		i, text := pair[0].(int), pair[1].(string)
		for i >= len(all) {
			all = append(all, &strings.Builder{})
		}
		if size += len(text); size > every {
			if err := m.allocate(2 * int64(size)); err != nil {
				return err
			}
			size = 0
		}
		all[i].WriteString(text)
	}
	list := make([]any, len(all))
	tail := a[0].(string)
	if err := m.allocate(int64(len(tail)) * int64(len(all))); err != nil {
		return err
	}
	for i, b := range all {
		b.WriteString(tail)
		list[i] = b.String()
	}
	return list
}
