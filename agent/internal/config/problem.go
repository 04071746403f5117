package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/pattern"
)

// Problem is an error in a configuration file, in words for the author of the file.
type Problem struct {
	File      string
	Line, Col int    // counted from 1; 0 if the problem concerns the whole file
	Path      string // path of the setting, such as "sinks.mimir.remote_write.url"; empty at the top level
	Text      string
	Source    string // text of the line

	at int // line number in the File, counted across all of its parts
}

// Brief returns the position and the text of the problem in one line.
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

// String returns Brief, the line of the file, and a caret under the column.
func (p Problem) String() string {
	if p.Line == 0 || p.Source == "" {
		return p.Brief()
	}
	line, caret := excerpt(p.Source, p.Col)
	return fmt.Sprintf("%s\n%5d | %s\n      | %s", p.Brief(), p.Line, line, caret)
}

// Problems are all problems of a configuration, sorted by file and line.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// tidy returns the problems sorted by file and line, without repetitions. If several jobs share a setting by an anchor or by
// defaults, a problem in it is returned only once.
func (p Problems) tidy() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Text, b.Text))
	})
	return slices.CompactFunc(p, func(a, b Problem) bool {
		return a == b || a.at > 0 && a.at == b.at && a.Col == b.Col && a.Text == b.Text
	})
}

// maxExcerpt is the maximum number of characters of a line that are shown.
const maxExcerpt = 120

// excerpt returns the part of a line around a column, and a line with a caret to show below that part.
func excerpt(line string, col int) (shown, caret string) {
	chars := []rune(hideSecrets(line)) // before the line is cut, since the cut can separate a secret from its name
	at := min(max(col-1, 0), len(chars))
	from, to := 0, len(chars)
	if to > maxExcerpt {
		from = max(0, min(at-maxExcerpt/2, to-maxExcerpt))
		to = from + maxExcerpt
	}
	// Tabs are not replaced, so that the caret is in the right column for any width of a tab.
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string(chars[from:at]))
	return printable(string(chars[from:to])), pad + "^"
}

// printable replaces control characters by question marks.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

// hideSecrets replaces texts that look like secrets by asterisks of the same length, since problems are logged.
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

// hideInURLs replaces user names, passwords and query values in URLs by asterisks, also where the URL has no scheme.
func hideInURLs(line string) string {
	if !strings.Contains(line, "://") && !strings.ContainsAny(line, "?&@") {
		return line
	}
	line = urlLogin().ReplaceAllStringFunc(line, func(match string) string {
		parts := urlLogin().FindStringSubmatch(match)
		if parts[1] != "://" && !loginWithPassword().MatchString(parts[2]) {
			return match // such as an expression with @base64
		}
		return parts[1] + stars(parts[2]) + parts[3]
	})
	return urlQuery().ReplaceAllStringFunc(line, func(match string) string {
		parts := urlQuery().FindStringSubmatch(match)
		if onlyTemplates().MatchString(parts[2]) {
			return match
		}
		return parts[1] + stars(parts[2])
	})
}

// Parts of lines with URLs.
var (
	urlLogin          = pattern.OnUse(`(://|^|[\s"'])([^/\s"'@]+)(@)`)
	loginWithPassword = pattern.OnUse(`^[\w.+-]+:[^|{}(),]+$`)
	urlQuery          = pattern.OnUse(`([?&][\w.-]+=)((?:\{\{[^}]*\}\}|[^&\s"',}])+)`)
	onlyTemplates     = pattern.OnUse(`^(?:\{\{[^}]*\}\})+$`)
)

func stars(text string) string { return strings.Repeat("*", len([]rune(text))) }
