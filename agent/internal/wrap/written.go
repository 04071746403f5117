package wrap

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources/scrape/exposition"
)

// Bounds on what a command may write as metrics.
const (
	maxText    = 16 << 20 // bytes
	maxSamples = 100_000
)

// valid is the metric that says whether what the command wrote could be read.
func valid() exposition.Gauge {
	return exposition.Gauge{Name: Prefix + "metrics_valid", Help: "Whether the metrics that the last run of the command wrote could be read."}
}

// ParseMetrics returns the metrics of a text that a command has written, in the Prometheus or the OpenMetrics format, and a gauge
// that says whether they could be read. They are taken whole or not at all. unread is why there is no text, or nil.
func ParseMetrics(text []byte, unread error, now time.Time, log *slog.Logger) ([]metric.Family, error) {
	pool := exposition.NewPool(exposition.Options{
		HonorLabels: true, HonorTimestamps: true, SampleLimit: maxSamples, Gauges: []exposition.Gauge{valid()}, Untargeted: true,
		Redact: func(text string) string { return text }, Log: log,
	})
	pool.Begin(now.UnixMilli())
	cache := pool.NewCache(labels.EmptyLabels())
	reader := cache.Begin()
	err := unread
	if err != nil {
		reader.Discard()
	} else {
		err = reader.Finish(text, exposition.ContentType(text))
	}
	if err == nil {
		cache.SetGauges(1)
	}
	var families []metric.Family
	for _, m := range pool.Readings([]*exposition.Cache{cache}, err) {
		for _, d := range m.Drops {
			err = errors.Join(err, fmt.Errorf("%d samples are left out (%s): %s", d.Count, d.Reason, d.First))
		}
		own := m.Desc
		if strings.HasPrefix(own.Name, Prefix) && own.Name != valid().Name {
			err = errors.Join(err, fmt.Errorf("%s is left out: the names of cton's own metrics begin with %s", own.Name, Prefix))
			continue
		}
		families = append(families, metric.Family{Desc: own, Series: m.Series, Earlier: m.Earlier})
	}
	return families, err
}

// File is a file that a command writes its metrics to.
type File struct {
	path   string
	before fs.FileInfo // nil = there was none
}

// WatchFile notes how a file was before the command runs.
func WatchFile(path string) *File {
	info, err := os.Stat(path)
	if err != nil {
		info = nil
	}
	return &File{path: path, before: info}
}

// Read returns the content of the file, and an error if the command has not written it.
func (f *File) Read() ([]byte, error) {
	info, err := os.Stat(f.path) // before Open, which would wait for the writer of a pipe
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the metrics of the command: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("read the metrics of the command: %s is not a regular file", f.path)
	case info.Size() > maxText:
		return nil, fmt.Errorf("read the metrics of the command: %s is larger than %s", f.path, setting.Bytes(maxText))
	case f.before != nil && os.SameFile(f.before, info) && f.before.ModTime().Equal(info.ModTime()) && f.before.Size() == info.Size():
		return nil, fmt.Errorf("read the metrics of the command: this run has not written %s", f.path)
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		return nil, fmt.Errorf("read the metrics of the command: %w", err)
	}
	return text, nil
}

// Tee passes an output on, counts it, and keeps its beginning.
type Tee struct {
	To io.Writer

	mu    sync.Mutex
	count int64
	text  []byte
	keep  bool
}

// NewTee returns a Tee, which keeps the text if keep is set.
func NewTee(to io.Writer, keep bool) *Tee { return &Tee{To: to, keep: keep} }

// Write implements io.Writer. An error ends the command's output, as it would without the Tee.
func (t *Tee) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.count += int64(len(p))
	if t.keep {
		t.text = append(t.text, p[:min(len(p), maxText+1-len(t.text))]...)
	}
	t.mu.Unlock()
	return t.To.Write(p)
}

// Count returns the number of bytes that were written.
func (t *Tee) Count() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// Text returns what was written, and an error if it was too much.
func (t *Tee) Text() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.text) > maxText {
		return nil, fmt.Errorf("read the metrics of the command: its output is larger than %s", setting.Bytes(maxText))
	}
	return slices.Clone(t.text), nil
}
