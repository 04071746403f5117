package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration file, in words for its author.
type Problem struct {
	File      string
	Line, Col int    // from 1; 0 for the file as a whole
	Path      string // of the setting: "sinks.mimir.remote_write.url"; empty at the top level
	Text      string
	Source    string // the line of the file

	at int // the line of the File, which counts through all of its parts
}

// Brief returns where the problem is and what it is, in one line.
func (p Problem) Brief() string {
	where := p.File
	if p.Line > 0 {
		where += fmt.Sprintf(":%d:%d", p.Line, p.Col)
	}
	if p.Path != "" {
		where += ": " + p.Path
	}
	return where + ": " + p.Text
}

// String returns Brief, and the line of the file with a caret under the column.
func (p Problem) String() string {
	if p.Line == 0 || p.Source == "" {
		return p.Brief()
	}
	line, caret := excerpt(p.Source, p.Col)
	return fmt.Sprintf("%s\n%5d | %s\n      | %s", p.Brief(), p.Line, line, caret)
}

// Problems are all problems of a configuration, in the order of its files and lines.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// tidy returns the problems in the order of the files, without repetitions. Settings that several jobs share by an anchor or by
// defaults have a problem once.
func (p Problems) tidy() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Text, b.Text))
	})
	return slices.CompactFunc(p, func(a, b Problem) bool {
		return a == b || a.at > 0 && a.at == b.at && a.Col == b.Col && a.Text == b.Text
	})
}

// maxExcerpt is how much of a line is shown, in characters.
const maxExcerpt = 120

// excerpt returns the part of a line around a column, and a line with a caret to show below it.
func excerpt(line string, col int) (shown, caret string) {
	chars := []rune(hideSecrets(line)) // before the cut, which can separate a secret from its name
	at := min(max(col-1, 0), len(chars))
	from, to := 0, len(chars)
	if to > maxExcerpt {
		from = max(0, min(at-maxExcerpt/2, to-maxExcerpt))
		to = from + maxExcerpt
	}
	// Tabs stay tabs, so that the caret is under its character whatever the width of a tab is.
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string(chars[from:at]))
	return printable(string(chars[from:to])), pad + "^"
}

// printable replaces control characters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

// hideSecrets replaces what looks like a secret by stars, because problems are logged. It does not move columns.
func hideSecrets(line string) string {
	named := regexp.MustCompile(`(?i)((?:password|passwd|secret|token|credentials|authorization|cookie|auth|key)[\w-]*(?:["']\s*:\s*|\s*:\s+))("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,{}\[\]#"'](?:[^,}\]#]*[^\s,}\]#])?)`)
	line = named.ReplaceAllStringFunc(line, func(match string) string {
		parts := named.FindStringSubmatch(match)
		value := strings.Trim(parts[2], `"'`)
		if value == "" || strings.HasPrefix(value, "env:") || strings.HasPrefix(value, "file:") || strings.Contains(parts[1], "_file") {
			return match
		}
		return parts[1] + stars(parts[2])
	})
	return hideInURLs(line)
}

// hideInURLs replaces user names, passwords and the values of queries in URLs by stars.
func hideInURLs(line string) string {
	if !strings.Contains(line, "://") && !strings.ContainsAny(line, "?&") {
		return line // most values: compiling the expressions takes longer than all else that is done for one
	}
	login := regexp.MustCompile(`(://)([^/\s"'@]+)(@)`)
	line = login.ReplaceAllStringFunc(line, func(match string) string {
		parts := login.FindStringSubmatch(match)
		return parts[1] + stars(parts[2]) + parts[3]
	})
	query := regexp.MustCompile(`([?&][\w.-]+=)((?:\{\{[^}]*\}\}|[^&\s"',}])+)`)
	templates := regexp.MustCompile(`^(?:\{\{[^}]*\}\})+$`)
	return query.ReplaceAllStringFunc(line, func(match string) string {
		parts := query.FindStringSubmatch(match)
		if templates.MatchString(parts[2]) {
			return match // it has no value of its own
		}
		return parts[1] + stars(parts[2])
	})
}

func stars(text string) string { return strings.Repeat("*", len([]rune(text))) }
