package statuspage

import (
	"html/template"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/text"
)

// functions returns the functions that templates use.
func functions() template.FuncMap {
	return template.FuncMap{
		"bytes":   bytesInWords,
		"change":  changeInWords,
		"code":    codeInWords,
		"count":   func(n any) string { return countInWords(toInt(n)) },
		"counts":  countsInWords,
		"curve":   curve,
		"days":    func(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") },
		"escape":  url.PathEscape,
		"ispart":  func(kind string) bool { return kind == metric.Histogram.String() || kind == metric.Summary.String() },
		"islink":  func(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") },
		"labels":  labelsInWords,
		"plural":  func(n int, what string) string { return text.Count(n, what) },
		"rate":    rateInWords,
		"rfc":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"seconds": func(s float64) string { return inWords(time.Duration(s * float64(time.Second))) },
		"sortby":  sortBy,
		"page":    pageAt,
		"edition": edition,
		"results": resultsInWords,
		"result":  func(r Run) string { return resultState(r.Result) },
		"last":    lastRuns,
		"total":   func(s *Status) int { return len(s.Problems) + s.More },
		"spark":   spark,
		"state":   stateInWords,
		"time":    timeInWords,
		"strip":   strip,
	}
}

// rateInWords returns a rate that is at least 0 with three digits, or as a whole number from 1,000.
func rateInWords(f float64) string {
	if f >= 999.5 && f < 1<<53 {
		return countInWords(int64(math.Round(f)))
	}
	return strconv.FormatFloat(f, 'g', 3, 64)
}

func toInt(n any) int64 {
	switch n := n.(type) {
	case int:
		return int64(n)
	case int64:
		return n
	}
	return 0
}

// timeInWords returns the time of day in a time element. The page's script replaces the text by how long ago that time is.
func timeInWords(t time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	at := t.UTC().Format(time.RFC3339)
	return template.HTML(`<time datetime="` + at + `">` + at[len("2006-01-02T"):len("2006-01-02T15:04:05")] + `</time>`) //nolint:gosec // digits only
}

// codeInWords returns the status code of a request, or says that the response came from the cache or that there was none.
func codeInWords(r Request) string {
	switch {
	case r.Cached:
		return "from cache"
	case r.Code == 0:
		return "no response"
	case r.Unchanged:
		return strconv.Itoa(r.Code) + " unchanged"
	}
	return strconv.Itoa(r.Code)
}

// resultState returns the state of a job after a run with this result.
func resultState(result string) string {
	switch result {
	case run.Succeeded:
		return JobOK
	case run.Failed:
		return JobFailed
	}
	return result
}

// lastRuns returns the last runs, newest first.
func lastRuns(runs []Run, n int) []Run {
	last := slices.Clone(runs[max(0, len(runs)-n):])
	slices.Reverse(last)
	return last
}

// stateInWords returns a state in an element with a class. The style sheet shows a sign for each class, so that states differ
// without colours too.
func stateInWords(state string) template.HTML {
	class := "s-off"
	switch state {
	case JobOK:
		class = "s-ok"
	case JobFailed, SinkFailing:
		class = "s-bad"
	case JobPartial, JobOverdue, SinkBehind:
		class = "s-warn"
	}
	return template.HTML(`<b class="` + class + `">` + template.HTMLEscapeString(state) + `</b>`) //nolint:gosec // escaped
}

// countsInWords returns counts by reason, the largest first.
func countsInWords(by map[string]int64) string {
	names := slices.SortedFunc(maps.Keys(by), func(a, b string) int {
		if by[a] != by[b] {
			return int(min(1, max(-1, by[b]-by[a])))
		}
		return strings.Compare(a, b)
	})
	var all []string
	for _, name := range names {
		if by[name] == 0 {
			continue
		}
		all = append(all, countInWords(by[name])+" "+strings.ReplaceAll(name, "_", " "))
	}
	return strings.Join(all, ", ")
}

// String returns the series as Prometheus writes it, without its value.
func (s Series) String() string { return s.Metric + labelsInWords(s.Labels) }

// resultsInWords returns the counts of runs by result, such as "12 ok, 1 failed".
func resultsInWords(by map[string]int64) string {
	var all []string
	for _, result := range results() {
		if n := by[result.name]; n > 0 {
			all = append(all, countInWords(n)+" "+result.word)
		}
	}
	return strings.Join(all, ", ")
}

// result is a result of a run: its name, the word that is shown, and the class attribute of its bars in a strip.
type result struct{ name, word, class string }

// results returns all possible results of runs.
func results() [4]result {
	return [...]result{{run.Succeeded, "ok", ""}, {run.Partial, "partial", ` class="p"`}, {run.Failed, "failed", ` class="f"`}, {run.Skipped, "skipped", ` class="k"`}}
}

// labelsInWords returns labels as Prometheus writes them.
func labelsInWords(labels map[string]string) string {
	if len(labels) == 0 {
		return ""
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, name+"="+strconv.Quote(text.Cut(labels[name], maxText)))
	}
	return "{" + strings.Join(all, ", ") + "}"
}

func changeInWords(s Series) string {
	if s.Before == nil {
		return ""
	}
	switch d := float64(s.Value) - float64(*s.Before); {
	case d == 0:
		return "0"
	case d > 0:
		return "+" + strconv.FormatFloat(d, 'g', 6, 64)
	default:
		return "−" + strconv.FormatFloat(-d, 'g', 6, 64)
	}
}

// sortBy returns the query that sorts the series by a field: descending, or ascending if they are already descending. Names are first
// sorted ascending.
func sortBy(p SeriesPage, field string) string {
	to := "-" + field
	if p.Sort == to || field == "name" && p.Sort != field {
		to = field
	}
	if p.Sort == "name" && field == "name" {
		to = "-name"
	}
	return "?" + url.Values{"q": {p.Search}, "sort": {to}}.Encode() + "#series"
}

// pageAt returns the query for another page of series, or "" if there is no such page. The argument "by" is the distance of the other
// page from the page p, in pages. A negative distance is for a page before p.
func pageAt(p SeriesPage, by int) string {
	to := p.Offset + by*pageOfSeries
	if to < 0 || to >= p.Matched {
		return ""
	}
	return "?" + url.Values{"q": {p.Search}, "sort": {p.Sort}, "offset": {strconv.Itoa(to)}}.Encode() + "#series"
}
