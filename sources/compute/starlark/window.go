package starlark

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	startime "go.starlark.net/lib/time"
	"go.starlark.net/starlark"

	"github.com/collectington/collectington/agent/metric"
)

// window is the script's window: window.start and window.end are the times of the tick's window, in UTC.
type window struct{ of *source }

func (w window) String() string        { return "window" }
func (w window) Type() string          { return "window" }
func (w window) Freeze()               {}
func (w window) Truth() starlark.Bool  { return true }
func (w window) Hash() (uint32, error) { return 0, errors.New("unhashable type: window") }

// AttrNames implements starlark.HasAttrs.
func (w window) AttrNames() []string { return []string{"end", "start"} }

// Attr implements starlark.HasAttrs.
func (w window) Attr(name string) (starlark.Value, error) {
	if !slices.Contains(w.AttrNames(), name) {
		return nil, nil
	}
	if w.of.tick == nil {
		return nil, errTopLevel
	}
	at := w.of.tick.at.Start
	if name == "end" {
		at = w.of.tick.at.End
	}
	return startime.Time(at.UTC()), nil
}

// timeName is the name by which set takes a reading's own time, where the metric has no label of that name.
const timeName = "time"

// ownTime takes the reading's own time out of a set's labels; nil = it says none.
func (o *operation) ownTime(d *metric.Desc) (own starlark.Value, labels []starlark.Tuple, err error) {
	at := slices.IndexFunc(o.labels, func(kv starlark.Tuple) bool { return kv[0] == starlark.Value(starlark.String(timeName)) })
	if at < 0 || o.verb != "set" || slices.Contains(d.LabelNames, timeName) {
		return nil, o.labels, nil
	}
	if d.Delta || d.Accumulates() {
		return nil, nil, errors.New("time goes with a gauge without delta, or a counter from: total")
	}
	return o.labels[at][1], slices.Delete(slices.Clone(o.labels), at, at+1), nil
}

// maxTime is the end of the year 9999 in Unix milliseconds.
const maxTime = 253402300799999

// milli is a time, or a number of Unix seconds, in Unix milliseconds.
func milli(v starlark.Value) (int64, error) {
	var at float64
	switch t := v.(type) {
	case startime.Time:
		at = float64(time.Time(t).UnixMilli())
	case starlark.Int, starlark.Float:
		seconds, err := numberOf(v)
		if err != nil {
			return 0, err
		}
		at = seconds * 1000
	default:
		return 0, fmt.Errorf("want a time, such as time.rfc3339(text), or Unix seconds, got %s", describe(v))
	}
	if !(at >= 1 && at <= maxTime) {
		return 0, fmt.Errorf("%s is no time from 1970 to 9999", preview(v, maxShown))
	}
	return int64(math.Round(at)), nil
}
