package exposition

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
)

// scraper scrapes one target whose pages a test gives.
type scraper struct {
	testing.TB
	*Pool
	cache *Cache
}

func newScraper(t testing.TB) *scraper {
	p := NewPool(Options{
		HonorTimestamps: true, Gauges: []Gauge{{Name: "up"}},
		Redact: func(text string) string { return text }, Log: slog.New(slog.DiscardHandler),
	})
	return &scraper{t, p, p.NewCache(labels.FromStrings("job", "node"))}
}

// scrape returns the families of a page by name. If window is not 0, the function Stream reads the beginning of the page through a buffer of
// that many bytes. Otherwise Finish gets the whole page.
func (s *scraper) scrape(page string, window int) (map[string]metric.Measured, error) {
	s.Helper()
	s.Begin(1_700_000_000_000)
	r := s.cache.Begin()
	body := []byte(page)
	if window > 0 {
		stream := r.Stream(strings.NewReader(page), make([]byte, window))
		rest, err := io.ReadAll(stream)
		if err != nil {
			s.Fatal(err)
		}
		body = rest
	}
	err := r.Finish(body, "text/plain")
	all := map[string]metric.Measured{}
	for _, m := range s.Readings([]*Cache{s.cache}, err) {
		all[m.Desc.Name] = m
	}
	return all, err
}

// remembers checks how many lines and series are kept.
func (s *scraper) remembers(lines, series int) {
	s.Helper()
	if n := len(s.cache.last); n != lines {
		s.Errorf("%d lines are kept, want %d", n, lines)
	}
	if n := len(s.series) - 1; n != series { // without up
		s.Errorf("%d series are kept, want %d", n, series)
	}
	if n := len(s.families) - 1; n != series {
		s.Errorf("%d families are kept, want %d", n, series)
	}
}

// TestSeriesKeepTheirPointers checks that label sets and descriptions, which sinks use as keys, stay the same while other
// series come and go.
func TestSeriesKeepTheirPointers(t *testing.T) {
	s := newScraper(t)
	before, err := s.scrape("# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 2\nb 3\n", 0)
	if err != nil {
		t.Fatal(err)
	}
	desc, set := before["a"].Desc, before["a"].Series[0].Labels
	for _, page := range []string{
		"# TYPE a gauge\na{x=\"1\"} 5\na{x=\"2\"} 2\n",
		"# TYPE a gauge\nnew 1\na{x=\"3\"} 2\na{x=\"1\"} 5\n",
		"# TYPE a gauge\na{x=\"1\"} 5\nb 1\n",
		"broken",
		"# TYPE a gauge\na{x=\"1\"} 5\n",
	} {
		got, err := s.scrape(page, 0)
		if err != nil {
			continue
		}
		found := false
		for _, x := range got["a"].Series {
			if x.Labels.Get("x") == "1" {
				found = true
				if got["a"].Desc != desc || x.Labels != set || x.Value != 5 {
					t.Errorf("after %q the series is %v of %p, want labels %p of %p", page, x, got["a"].Desc, set, desc)
				}
			}
		}
		if !found {
			t.Errorf("after %q the series is missing", page)
		}
	}
	s.remembers(2, 1) // a TYPE and a sample
}

// TestFailedPageIsForgotten checks that lines and metadata of a page that failed do not stay in memory.
func TestFailedPageIsForgotten(t *testing.T) {
	s := newScraper(t)
	if _, err := s.scrape("a 1\n", 0); err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&page, "# TYPE new_%d gauge\nnew_%d 1\n", i, i)
	}
	if _, err := s.scrape(page.String()+"broken", 0); err == nil {
		t.Fatal("the page does not fail")
	}
	s.remembers(1, 1)
	got, err := s.scrape("a 1\n", 0)
	if err != nil || len(got) != 2 || len(s.cache.families) != 0 {
		t.Errorf("%d families, %d of metadata, %v", len(got), len(s.cache.families), err)
	}
	s.remembers(1, 1)
}

// TestStream checks that values are the same whether known lines pass through a window of any size or reach the parser.
func TestStream(t *testing.T) {
	page := func(n int) string {
		var b bytes.Buffer
		for i := range 20 {
			fmt.Fprintf(&b, "# HELP m%d Help.\n# TYPE m%[1]d gauge\nm%[1]d{x=\"a\"} %d\nm%[1]d{x=\"b\"} %[3]d.5\n", i, n*i, n)
		}
		return b.String()
	}
	for _, window := range []int{1, 16, 100, 1 << 12} {
		s := newScraper(t)
		for n := range 4 {
			changed := page(n)
			if n == 3 {
				changed = strings.Replace(changed, "m7{x=\"a\"}", "m7{x=\"new\"}", 1)
			}
			got, err := s.scrape(changed, window)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 20 {
				m := got[fmt.Sprint("m", i)]
				if len(m.Series) != 2 || m.Series[0].Value != float64(n*i) || m.Series[1].Value != float64(n)+.5 || m.Desc.Help != "Help." {
					t.Errorf("window %d, scrape %d: m%d is %v", window, n, i, m.Series)
				}
			}
			if s.cache.Scraped != 40 {
				t.Errorf("window %d, scrape %d: %d samples are counted", window, n, s.cache.Scraped)
			}
		}
	}
}
