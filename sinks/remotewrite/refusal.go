package remotewrite

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// refusals logs what a receiver would not have: once, and again when it gives another reason.
type refusals struct {
	log   *slog.Logger
	stats *sinks.Stats

	mu   sync.Mutex
	last string
}

// partly logs a request of which the receiver says that it has written less than was sent.
func (r *refusals) partly(p *parcel, a answer, lost int, place string) {
	err := fmt.Errorf("POST %s: %d: wrote %d of %d samples", place, a.code, p.holds.sum()-lost, p.holds.sum())
	r.warn("partly", err, p, a, lost, "")
}

// wholly logs a request that was refused, even if the receiver kept a part of it.
func (r *refusals) wholly(p *parcel, a answer, lost int, place string) {
	err, do := a.error(place), remedy(a.code, a.text)
	switch {
	case a.code/100 == 2:
		err = fmt.Errorf("%w, without the %s header: it takes 1.0 only", err, samplesHeader)
		do = "set protocol to auto or 1.0"
	case a.code == 415:
		do = fmt.Sprintf("the receiver does not take remote-write %s: set protocol to auto", p.protocol)
	}
	r.warn(gist(a), err, p, a, lost, do)
}

func (r *refusals) warn(why string, err error, p *parcel, a answer, lost int, do string) {
	r.stats.Refuse(why, sinks.Refusal{Samples: int64(lost), Why: err.Error(), Do: do})
	r.mu.Lock()
	defer r.mu.Unlock()
	if why == r.last {
		return
	}
	r.last = why
	series := offender(a.text)
	if series == "" {
		q, _ := p.request() // which has been read, or written, before
		if series = q.First(); lost > 1 {
			series = "one of those from " + series + " on"
		}
	}
	if do == "" {
		do = "see the receiver's log"
	}
	r.log.Warn("the receiver refused samples", "error", err, "samples", lost, "series", series, "do", do)
}

// offender is the first series that a receiver's text names: {…}, with the metric's name before it or in it.
func offender(text string) string {
	open := strings.IndexByte(text, '{')
	if open < 0 {
		return ""
	}
	quoted := false
	for i := open; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case '}':
			if !quoted {
				return text[open : i+1]
			}
		}
	}
	return text[open:]
}

// seriesIn is the labels of that series, sorted by name, the metric's name among them; nil where its text is no series.
func seriesIn(text string) (all []metric.Label) {
	open := strings.IndexByte(text, '{')
	if open < 0 {
		return nil
	}
	name := text[strings.LastIndexAny(text[:open], " \t\"'(=:,")+1 : open]
	if name != "" && !strings.HasSuffix(name, ":") {
		all = append(all, metric.Label{Name: "__name__", Value: name})
	}
	for text = text[open+1:]; ; {
		rest := strings.TrimLeft(text, ", ")
		if strings.HasPrefix(rest, "}") {
			break
		}
		label, err := strconv.QuotedPrefix(rest)
		if err != nil {
			label = rest[:max(0, strings.IndexByte(rest, '='))]
		}
		rest, found := strings.CutPrefix(rest[len(label):], "=")
		value, err := strconv.QuotedPrefix(rest)
		if !found || err != nil {
			return nil
		}
		text = rest[len(value):]
		value, _ = strconv.Unquote(value)
		if unquoted, err := strconv.Unquote(label); err == nil {
			label = unquoted
		}
		all = append(all, metric.Label{Name: label, Value: value})
	}
	slices.SortFunc(all, func(a, b metric.Label) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// gist is what tells one reason from another: the code, and the text without the numbers and series that differ from
// request to request.
func gist(a answer) string {
	text := a.text
	if series := offender(text); series != "" {
		text = text[:strings.Index(text, series)]
	}
	return fmt.Sprint(a.code, strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, text))
}
