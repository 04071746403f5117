package statuspage

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/text"
)

// The size of a strip, in pixels. Its height is in the style sheet.
const (
	stripUp   = 16 // height of the longest run, above the line
	stripDown = 8  // height below the line
	stripStep = 4  // width of one run
)

// strip draws runs as bars at a line. A run that measured something is a bar above the line, whose height shows its duration; a
// partial run also has a short bar below the line. A failed run is a bar below the line, and a skipped run is a dot on the line.
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

// line is a curve to draw: times and the values at these times.
type line struct {
	at, value []float64
}

// draw returns the path of a curve in a box. At the bottom of the box is the lowest value, or 0 if fromZero is true and no value is
// negative. To keep the path short, its coordinates are relative and in units of half a pixel.
func (l *line) draw(width, height float64, fromZero bool) string {
	lowest, highest := math.Inf(1), math.Inf(-1)
	for _, v := range l.value {
		lowest, highest = min(lowest, v), max(highest, v)
	}
	if fromZero {
		lowest = min(lowest, 0)
	}
	from, to := l.at[0], l.at[len(l.at)-1]
	var path []byte
	var px, py int64 // the point before
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
		nx, ny := int64(math.Round(2*x))+2, int64(math.Round(2*y))+2
		path = strconv.AppendInt(append(path, "ml "[min(i, 2)]), nx-px, 10)
		if ny >= py {
			path = append(path, ' ') // a negative number needs no space, because its sign separates it
		}
		path = strconv.AppendInt(path, ny-py, 10)
		px, py = nx, ny
	}
	return string(path)
}

// scale returns a text with the lowest and the highest value of a series, and the period of its curve.
func scale(lowest, highest float64, over time.Duration) string {
	values := number(lowest, 6)
	if lowest != highest {
		to := number(highest, 6)
		if to == values { // they differ in a later digit
			values, to = number(lowest, -1), number(highest, -1)
		}
		values += " to " + to
	}
	return "<small>" + values + " in " + inWords(over) + "</small>"
}

// number returns a number as text with at most the given number of digits, or with all digits if it is a whole number or digits is -1.
func number(v float64, digits int) string {
	format, size := byte('g'), math.Abs(v)
	if (v == math.Trunc(v) || digits == -1 && size > 1e-4) && size < 1e15 {
		format, digits = 'f', -1
	}
	return strings.Replace(strconv.FormatFloat(v, format, digits, 64), "-", "−", 1)
}

// over returns the period of the curve. The argument "unit" is the unit of the times in l.at.
func (l *line) over(unit time.Duration) time.Duration {
	return time.Duration(l.at[len(l.at)-1]-l.at[0]) * unit
}

// spark draws the past values of a series as a small curve without axes (a sparkline), with its scale as text.
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
	return template.HTML(`<svg class="spark" viewBox="0 0 204 36" preserveAspectRatio="none" aria-hidden="true"><path d="` + l.draw(100, 16, false) + `"/></svg>` + //nolint:gosec // numbers only
		scale(slices.Min(l.value), slices.Max(l.value), l.over(time.Millisecond)))
}

// curve draws how many samples waited in a sink over time or, if none waited, how many samples per second the sink sent, with its scale
// as text. The scale begins at zero.
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
	if most == 0 && len(sent.at) < 2 {
		return ""
	}
	class, shown := "waiting", &waiting
	highest := countInWords(most) + " waiting"
	if most == 0 {
		class, shown = "sent", &sent
		highest = rateInWords(slices.Max(sent.value)) + " a second"
	}
	path := shown.draw(160, 28, true)
	return template.HTML(fmt.Sprintf(`<svg class="curve %s" viewBox="0 0 324 60" aria-hidden="true"><path class="area" d="%sL322 58H2Z"/><path d="%s"/></svg><small>0 to %s in %s</small>`, //nolint:gosec // numbers and fixed words only
		class, path, path, highest, inWords(shown.over(time.Second))))
}
