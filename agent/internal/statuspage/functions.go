package statuspage

import (
	"fmt"
	"html/template"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/text"
)

// functions are what templates use.
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
		"islink":  func(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") },
		"labels":  labelsInWords,
		"plural":  func(n int, what string) string { return text.Count(n, what) },
		"rate":    func(f float64) string { return strconv.FormatFloat(f, 'g', 3, 64) },
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

func toInt(n any) int64 {
	switch n := n.(type) {
	case int:
		return int64(n)
	case int64:
		return n
	}
	return 0
}

// timeInWords returns the time of day. The page's script shows how long ago that is.
func timeInWords(t time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	at := t.UTC().Format(time.RFC3339)
	return template.HTML(`<time datetime="` + at + `">` + at[len("2006-01-02T"):len("2006-01-02T15:04:05")] + `</time>`) //nolint:gosec // digits only
}

// codeInWords returns a status code, or what there was instead.
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

// resultState returns the state of a job after a run.
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

// stateInWords returns the word of a state. The style sheet gives its class a sign, so that it can be read without colour.
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

// resultsInWords returns counts of runs.
func resultsInWords(by map[string]int64) string {
	var all []string
	for _, result := range results() {
		if n := by[result.name]; n > 0 {
			all = append(all, countInWords(n)+" "+result.word)
		}
	}
	return strings.Join(all, ", ")
}

// result is a result of a run with its word, and the class of its marks in a strip.
type result struct{ name, word, class string }

// results returns the results of runs.
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

// sortBy returns the query for another order of the series: descending first, then ascending.
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

// pageAt returns the query for another part of the series, "" if there is none.
func pageAt(p SeriesPage, by int) string {
	to := p.Offset + by*pageOfSeries
	if to < 0 || to >= p.Matched {
		return ""
	}
	return "?" + url.Values{"q": {p.Search}, "sort": {p.Sort}, "offset": {strconv.Itoa(to)}}.Encode() + "#series"
}

// The size of a strip, in pixels. Its height is in the style sheet.
const (
	stripUp   = 16 // of the tallest run
	stripDown = 8  // below the line
	stripStep = 4
)

// strip draws runs: what was measured rises above a line by its duration, what failed hangs below it, what was skipped is a dot on it.
func strip(runs []Run) template.HTML {
	if len(runs) == 0 {
		return ""
	}
	longest := 0.0
	for i := range runs {
		longest = max(longest, runs[i].Duration)
	}
	all := results()
	var paths [len(all)][]byte
	var counts [len(all)]int
	for i := range runs {
		r := &runs[i]
		kind := slices.IndexFunc(all[:], func(k result) bool { return k.name == r.Result })
		if kind < 0 {
			continue
		}
		counts[kind]++
		up := 2
		if longest > 0 {
			up += int(math.Round(float64(stripUp-2) * r.Duration / longest))
		}
		x := i*stripStep + 2
		switch r.Result {
		case run.Failed:
			paths[kind] = bar(paths[kind], x, stripUp+1, stripDown-1)
		case run.Partial:
			paths[kind] = bar(bar(paths[kind], x, stripUp, -up), x, stripUp+1, 3)
		case run.Skipped:
			paths[kind] = bar(paths[kind], x, stripUp-1, 2)
		default:
			paths[kind] = bar(paths[kind], x, stripUp, -up)
		}
	}
	var said []string
	for i, n := range counts {
		if n > 0 {
			said = append(said, strconv.Itoa(n)+" "+all[i].word)
		}
	}
	out := `<svg class="r" width="` + strconv.Itoa(len(runs)*stripStep) + `" role="img"><title>last ` + text.Count(len(runs), "run") + ": " +
		strings.Join(said, ", ") + "</title>"
	for i, d := range paths {
		if d != nil {
			out += "<path" + all[i].class + ` d="` + string(d) + `"/>`
		}
	}
	return template.HTML(out + "</svg>") //nolint:gosec // numbers and fixed words only
}

// bar appends a vertical bar to a path.
func bar(path []byte, x, y, height int) []byte {
	path = strconv.AppendInt(append(path, 'M'), int64(x), 10)
	path = strconv.AppendInt(append(path, ' '), int64(y), 10)
	return strconv.AppendInt(append(path, 'v'), int64(height), 10)
}

// line is a curve to draw.
type line struct {
	at, value []float64
}

// draw returns the path of a curve in a box, with its lowest value at the bottom.
func (l *line) draw(width, height float64, fromZero bool) string {
	lowest, highest := math.Inf(1), math.Inf(-1)
	for _, v := range l.value {
		lowest, highest = min(lowest, v), max(highest, v)
	}
	if fromZero {
		lowest = min(lowest, 0)
	}
	from, to := l.at[0], l.at[len(l.at)-1]
	var b strings.Builder
	for i, v := range l.value {
		x, y := width, height/2
		if to > from {
			x = (l.at[i] - from) / (to - from) * width
		}
		if highest > lowest {
			y = height - (v-lowest)/(highest-lowest)*height
		} else if fromZero {
			y = height
		}
		fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[min(i, 1)], x+1, y+1)
	}
	return b.String()
}

// spark draws the past of a series.
func spark(points []Point) template.HTML {
	var l line
	for _, p := range points {
		if v := float64(p.Value); !math.IsNaN(v) && !math.IsInf(v, 0) {
			l.at, l.value = append(l.at, float64(p.At.UnixMilli())), append(l.value, v)
		}
	}
	if len(l.at) < 2 {
		return ""
	}
	return template.HTML(fmt.Sprintf(`<svg class="spark" width="102" height="18" aria-hidden="true"><path d="%s"/></svg>`, l.draw(100, 16, false))) //nolint:gosec // numbers only
}

// curve draws what has waited in a sink, or, if nothing has, what it has sent.
func curve(samples []Sample) template.HTML {
	if len(samples) < 2 {
		return ""
	}
	var waiting, sent line
	most := int64(0)
	for i := range samples {
		at := float64(samples[i].At.Unix())
		waiting.at, waiting.value = append(waiting.at, at), append(waiting.value, float64(samples[i].Pending))
		most = max(most, samples[i].Pending)
		if i > 0 {
			if took := at - float64(samples[i-1].At.Unix()); took > 0 {
				sent.at, sent.value = append(sent.at, at), append(sent.value, max(0, float64(samples[i].Sent-samples[i-1].Sent))/took)
			}
		}
	}
	over := inWords(samples[len(samples)-1].At.Sub(samples[0].At))
	if most == 0 && len(sent.at) < 2 {
		return ""
	}
	label, class, shown := fmt.Sprintf("waiting over the last %s: at most %s", over, text.Count(int(most), "sample")), "waiting", &waiting
	if most == 0 {
		label, class, shown = fmt.Sprintf("samples sent a second over the last %s", over), "sent", &sent
	}
	path := shown.draw(160, 28, true)
	return template.HTML(fmt.Sprintf(`<svg class="curve %s" width="162" height="30" role="img"><title>%s</title><path class="area" d="%sL161 29L1 29Z"/><path d="%s"/></svg>`,
		class, label, path, path)) //nolint:gosec // numbers and fixed words only
}
