package exposition

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/scrape/exposition"
)

// given is a type of fetcher for tests. It returns the texts of its map, whose keys are the names of files.
type given struct {
	sources.Fetcher
	texts map[string]string
	err   error
}

func (g *given) FetchTexts(_ context.Context, _ sources.Tick, yield func(sources.Text) error) error {
	var names []string
	for name := range g.texts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		one := sources.Text{From: "read " + name, Name: name, All: names, Body: []byte(g.texts[name]), Modified: time.Unix(5, 0)}
		if one.Body == nil {
			one.Err = errors.New("cannot be read")
		}
		if err := yield(one); err != nil {
			return err
		}
	}
	return g.err
}

func open(t testing.TB, fetch sources.Fetcher) sources.Source {
	t.Helper()
	s, err := Kind.Defaults().New(sources.Env{Fetch: fetch, Log: slog.New(slog.DiscardHandler), Web: &httpclient.Host{Secrets: &setting.SecretStore{}}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func lines(readings metric.Readings) (all []string) {
	for _, m := range readings {
		for _, x := range m.Series {
			all = append(all, fmt.Sprintf("%s%s %v", m.Desc.Name, x.Labels, x.Value))
		}
	}
	slices.Sort(all)
	return all
}

// TestFilesOverTime checks three cases. While a file is broken, its series are missing. When a file is gone, its series end. A tick that
// fails changes nothing.
func TestFilesOverTime(t *testing.T) {
	g := &given{texts: map[string]string{"a": "x 1\n", "b": "y 1\n"}}
	s := open(t, g)
	for i, step := range []struct {
		texts map[string]string
		err   error
		want  string
	}{
		{map[string]string{"a": "x 1\n", "b": "y 1\n"}, nil, `textfile_up{file="a"} 1 textfile_up{file="b"} 1 x 1 y 1`},
		{map[string]string{"a": "x 2\n", "b": "y {\n"}, nil, `textfile_up{file="a"} 1 textfile_up{file="b"} 0 x 2`},
		{map[string]string{"a": "x 3\n"}, errors.New("too large"), ``},
		{map[string]string{"a": "x 3\n", "b": "y 2\nx 9\n"}, nil, `textfile_up{file="a"} 1 textfile_up{file="b"} 1 x 3 y 2`},
		{map[string]string{"b": "y 2\nx 9\n"}, nil, `textfile_up{file="b"} 1 x 9 y 2`},
		{map[string]string{}, nil, ``},
	} {
		g.texts, g.err = step.texts, step.err
		readings, err := s.Collect(t.Context(), sources.Tick{Time: time.Unix(int64(i), 0)})
		if !errors.Is(err, step.err) {
			t.Fatal(err)
		}
		got := slices.DeleteFunc(lines(readings), func(l string) bool { return strings.HasPrefix(l, modifiedName) })
		if strings.Join(got, " ") != step.want {
			t.Errorf("tick %d: %q, want %q", i, got, step.want)
		}
	}
}

// FuzzText reads texts with cton and with Prometheus' parser. If Prometheus' parser reads a text, cton must pass on or count each of its
// samples. For any other text, cton must return an error of one line.
func FuzzText(f *testing.F) {
	for _, text := range []string{
		"x 1\n", "x{a=\"1\"} 1\nx{a=\"1\"} 2\n", "cton_x 1\ntextfile_up 1\ny 2", "# TYPE x counter\nx_total 3\n# EOF\n", "x 1 99999999999999\n", "# EOF\n# EOF",
		"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n", "x{", "\xff 1\n", "x 1\n\x00\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		readings, err := open(t, &given{texts: map[string]string{"": text}}).Collect(t.Context(), sources.Tick{Time: time.Unix(1_000_000, 0)})
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of more than one line: %q", err)
			}
			return
		}
		want, whole := samples([]byte(text))
		got := 0
		for _, m := range readings {
			if strings.HasPrefix(m.Desc.Name, "cton_") {
				t.Errorf("%s is passed on", m.Desc.Name)
			}
			for _, d := range m.Drops {
				got += d.Count
			}
			for i := range m.Series {
				got += parts(m.Desc, &m.Series[i])
			}
			for _, points := range m.Earlier {
				got += len(points)
			}
		}
		if whole && got != want {
			t.Errorf("%d samples become %d", want, got)
		}
	})
}

// samples returns the number of samples that Prometheus' parser finds. The result "whole" is false if cton may find another number of
// samples in the text, for example because the lines of a histogram come twice.
func samples(text []byte) (n int, whole bool) {
	if bytes.Contains(text, []byte("_created")) || bytes.Contains(text, []byte("# TYPE")) && bytes.Count(text, []byte("_sum")) != 1 {
		return 0, false
	}
	p, err := textparse.New(text, exposition.ContentType(text), labels.NewSymbolTable(), textparse.ParserOptions{OpenMetricsSkipSTSeries: true})
	if err != nil {
		return 0, false
	}
	for {
		switch entry, err := p.Next(); {
		case err != nil:
			return n, true
		case entry == textparse.EntrySeries:
			n++
		}
	}
}

// parts returns how many samples a series has in the text.
func parts(d *metric.Desc, s *metric.Series) int {
	switch {
	case s.Histogram() != nil:
		return len(d.Buckets) + 3
	case s.Summary() != nil:
		return len(d.Quantiles) + 2
	}
	return 1
}

// TestTextsThatPeopleWrite checks two kinds of texts. Blanks before a line are not part of a name, as in node_exporter. A text whose last
// line is not complete has no series.
func TestTextsThatPeopleWrite(t *testing.T) {
	for text, want := range map[string]string{
		"  # TYPE x gauge\n  x 1\n\tx{a=\"b\"} 2\n":    `gauge x 1, gauge x{a="b"} 2`,
		"# HELP x a \"\n# TYPE x gauge\n  x 1\n":       `gauge x 1`,
		"x{a=\"two\n  lines\"} 1\n  y{a=\"\\\"\"} 2\n": "unknown x{a=\"two\\n  lines\"} 1, unknown y{a=\"\\\"\"} 2",
		"# TYPE x gauge\nx 1234\n":                     `gauge x 1234`,
		"# TYPE x gauge\nx 12":                         "read : the last line has no line feed at its end: the text may not be complete",
		"# TYPE x gauge\nx 12\n# EOF":                  `gauge x 12`,
		"":                                             ``,
	} {
		readings, err := open(t, &given{texts: map[string]string{"": text}}).Collect(t.Context(), sources.Tick{Time: time.Unix(1, 0)})
		var got []string
		for _, m := range readings {
			for _, line := range lines(metric.Readings{m}) {
				got = append(got, fmt.Sprint(m.Desc.Type)+" "+line)
			}
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}
