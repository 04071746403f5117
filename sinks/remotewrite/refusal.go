package remotewrite

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/collectington/collectington/agent/metric"
)

// refusals logs what a receiver would not have: once, and again when it gives another reason.
type refusals struct {
	log  *slog.Logger
	last string
}

// partly logs a request of which the receiver says that it has written less than was sent.
func (r *refusals) partly(p *parcel, a answer, lost int, place string) {
	err := fmt.Errorf("POST %s: %d: wrote %d of %d samples", place, a.code, len(p.samples)-lost, len(p.samples))
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
	if why == r.last {
		return
	}
	r.last = why
	series := offender(a.text)
	if series == "" {
		series = "one of those from " + nameOf(p.samples[0].series) + " on"
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

// nameOf is a series as it is pushed, for messages.
func nameOf(s *series) string { return (&metric.LabelSet{Labels: s.labels}).String() }

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
