package ledger

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
)

// TestStories checks the rules in testdata/*.txt: the readings of ticks, and after > the result that they must give.
//
//	== A fall is an upstream reset                     a story; each begins with an empty ledger
//	metric hits{host,path} counter on_decrease=ignore  its metrics
//	limits valid_for=2m max_series=3
//	tick 1m30s                                         time since the start; measures every metric, with these readings
//	  hits{host="a"} 7 at=1m id=e1                     own time, event id
//	  hits failed: 503 Service Unavailable             the metric's Err
//	  hits absent                                      not among the tick's readings
//	> hits{host="a"} 7 since 59.999s at 1m
//
// With -update it rewrites the lines after >. Check the difference.
func TestStories(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) == 0 {
		t.Fatal("no stories")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var actual strings.Builder
		for story := range strings.SplitSeq("\n"+string(text), "\n== ") {
			if title, _, _ := strings.Cut(story, "\n"); title != "" {
				actual.WriteString("\n== ")
				t.Run(title, func(t *testing.T) { actual.WriteString(runStory(t, file, story)) })
			} else {
				actual.WriteString(story)
			}
		}
		if *update {
			if err := os.WriteFile(file, []byte(actual.String()[1:]), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

var update = flag.Bool("update", false, "rewrite the expected results of the stories")

// story is the state of a story.
type story struct {
	metrics   []*metric.Desc
	validFor  time.Duration
	maxSeries int
	ledger    *Ledger

	at       time.Duration
	readings metric.Readings
}

// runStory runs a story and returns its text with the actual results.
func runStory(t *testing.T, file, text string) string {
	s := &story{validFor: 2 * time.Minute, maxSeries: 100}
	var all, want []string
	check := func() {
		if s.readings == nil {
			return
		}
		got := s.tick()
		if !*update && !slices.Equal(got, want) {
			t.Errorf("%s: after tick %v got\n  > %s\nwant\n  > %s", file, s.at, strings.Join(got, "\n  > "), strings.Join(want, "\n  > "))
		}
		for _, line := range got {
			all = append(all, "> "+line)
		}
		want = nil
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if shown, ok := strings.CutPrefix(line, "> "); ok {
			want = append(want, shown)
			continue
		}
		if !strings.HasPrefix(line, "  ") {
			check()
		}
		all = append(all, line)
		if i > 0 {
			if err := s.line(line); err != nil {
				t.Fatalf("%s: %s: %v", file, line, err)
			}
		}
	}
	check()
	return strings.Join(all, "\n")
}

// line runs a line of a story without >.
func (s *story) line(line string) error {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch {
	case word == "" || word == "#":
		return nil
	case strings.HasPrefix(line, "  "):
		return s.reading(word, rest)
	case word == "metric":
		d, err := declare(rest)
		s.metrics = append(s.metrics, d)
		return err
	case word == "limits":
		return options(strings.Fields(rest), map[string]func(string) error{
			"valid_for":  span(&s.validFor),
			"max_series": number(&s.maxSeries),
		})
	case word == "tick":
		s.readings = metric.Readings{}
		for _, d := range s.metrics {
			s.readings = append(s.readings, metric.Measured{Desc: d})
		}
		return span(&s.at)(rest)
	}
	return fmt.Errorf("not a line of a story")
}

func (s *story) reading(word, rest string) error {
	name, _, _ := strings.Cut(word, "{")
	i := slices.IndexFunc(s.readings, func(m metric.Measured) bool { return m.Desc.Name == name })
	if i < 0 {
		return fmt.Errorf("no metric %q", name)
	}
	m := &s.readings[i]
	if rest == "absent" {
		s.readings = slices.Delete(s.readings, i, i+1)
		return nil
	}
	if rest == "again" {
		s.readings = append(s.readings, *m)
		return nil
	}
	if why, ok := strings.CutPrefix(rest, "failed: "); ok {
		m.Err = errors.New(why)
		return nil
	}
	row := metric.Reading{}
	for _, label := range m.Desc.LabelNames {
		_, value, _ := strings.Cut(word, label+`="`)
		value, _, _ = strings.Cut(value, `"`)
		row.Labels = append(row.Labels, value)
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return fmt.Errorf("no value")
	}
	var own time.Duration
	err := options(fields[1:], map[string]func(string) error{
		"at":     span(&own),
		"id":     func(id string) error { row.Event = id; return nil },
		"labels": func(n string) error { v, err := strconv.Atoi(n); row.Labels = make([]string, v); return err },
	})
	if slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, "at=") }) {
		row.Time = milli(own)
	}
	for value := range strings.SplitSeq(fields[0], ",") {
		if err == nil {
			row.Value, err = strconv.ParseFloat(value, 64)
			m.Rows = append(m.Rows, row)
		}
	}
	return err
}

// tick applies the readings and returns the result as text.
func (s *story) tick() []string {
	if s.ledger == nil {
		s.ledger = New(For(s.validFor), s.maxSeries)
	}
	r, err := apply(s.ledger, epoch().Add(s.at), s.readings)
	s.readings = nil
	if err != nil {
		return []string{"refused: " + err.Error()}
	}
	lines := show(r.Families)
	if r.Resets > 0 {
		lines = append(lines, fmt.Sprintf("resets: %d", r.Resets))
	}
	for _, p := range r.Problems {
		lines = append(lines, fmt.Sprintf("problem: %s: %v", p.Metric, p.Err))
	}
	for _, d := range r.Drops {
		lines = append(lines, fmt.Sprintf("dropped: %s: %d %s: %s", d.Metric, d.Count, d.Reason, d.First))
	}
	return lines
}

// declare parses a declaration such as "hits{host} counter from=events".
func declare(text string) (*metric.Desc, error) {
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return nil, fmt.Errorf("want: metric NAME TYPE")
	}
	name, labels, _ := strings.Cut(strings.TrimSuffix(fields[0], "}"), "{")
	d := &metric.Desc{Name: name, Remember: time.Hour, MaxEvents: 100, MaxAge: 10 * time.Minute}
	if labels != "" {
		d.LabelNames = strings.Split(labels, ",")
	}
	var err error
	d.Type, err = one(fields[1], map[string]metric.Type{
		"gauge": metric.Gauge, "counter": metric.Counter, "histogram": metric.Histogram, "summary": metric.Summary,
	})
	if err != nil {
		return nil, err
	}
	return d, options(fields[2:], map[string]func(string) error{
		"delta":  func(string) error { d.Delta = true; return nil },
		"once":   func(string) error { d.Once = true; return nil },
		"native": func(string) error { d.Native = true; return nil },
		"from": func(v string) (err error) {
			d.From, err = one(v, map[string]metric.From{"total": metric.Total, "increment": metric.Increment, "events": metric.Events})
			return err
		},
		"on_decrease": func(v string) (err error) {
			d.OnDecrease, err = one(v, map[string]metric.OnDecrease{
				"reset": metric.DecreaseReset, "ignore": metric.DecreaseIgnore, "error": metric.DecreaseError, "add": metric.DecreaseAdd,
			})
			return err
		},
		"on_duplicate": func(v string) (err error) {
			d.OnDuplicate, err = one(v, map[string]metric.OnDuplicate{
				"error": metric.DuplicateError, "sum": metric.DuplicateSum, "last": metric.DuplicateLast,
				"max": metric.DuplicateMax, "min": metric.DuplicateMin, "count": metric.DuplicateCount,
			})
			return err
		},
		"const":      func(v string) error { d.Const = append(d.Const, metric.Label{Name: "const", Value: v}); return nil },
		"remember":   span(&d.Remember),
		"max_age":    span(&d.MaxAge),
		"max_events": number(&d.MaxEvents),
		"first_run":  func(v string) error { return d.FirstRun.UnmarshalText([]byte(v)) },
		"buckets":    floats(&d.Buckets),
		"quantiles":  floats(&d.Quantiles),
	})
}

func options(fields []string, known map[string]func(string) error) error {
	for _, field := range fields {
		name, value, _ := strings.Cut(field, "=")
		set := known[name]
		if set == nil {
			return fmt.Errorf("unknown option %q", name)
		}
		if err := set(value); err != nil {
			return err
		}
	}
	return nil
}

func one[T any](text string, known map[string]T) (T, error) {
	v, ok := known[text]
	if !ok {
		return v, fmt.Errorf("unknown word %q", text)
	}
	return v, nil
}

func span(to *time.Duration) func(string) error {
	return func(text string) (err error) { *to, err = time.ParseDuration(text); return err }
}

func number(to *int) func(string) error {
	return func(text string) (err error) { *to, err = strconv.Atoi(text); return err }
}

func floats(to *[]float64) func(string) error {
	return func(text string) error {
		for word := range strings.SplitSeq(text, ",") {
			v, err := strconv.ParseFloat(word, 64)
			if err != nil {
				return err
			}
			*to = append(*to, v)
		}
		return nil
	}
}
