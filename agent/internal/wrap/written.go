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

// Limits for the metrics that a command writes.
const (
	maxText    = 16 << 20 // bytes
	maxSamples = 100_000
)

// valid returns the metric that says whether the metrics written by the command could be read.
func valid() exposition.Gauge {
	return exposition.Gauge{Name: Prefix + "metrics_valid", Help: "Whether the metrics that the last run of the command wrote could be read."}
}

// ParseMetrics returns the metrics in a text that a command has written, in the Prometheus or the OpenMetrics format. It adds a gauge that
// says whether they could be read. If the text has an error, none of its metrics are returned. If there is no text, the argument "unread"
// is the reason why. Otherwise "unread" is nil.
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
		if err = reader.Finish(text, exposition.ContentType(text)); err != nil {
			err = fmt.Errorf("none of them, as the text has an error: %w", err)
		}
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
	before fs.FileInfo // nil = the file did not exist
}

// WatchFile notes the state of a file before the command runs. Read can then tell whether the command has written the file.
func WatchFile(path string) *File {
	info, err := os.Stat(path)
	if err != nil {
		info = nil
	}
	return &File{path: path, before: info}
}

// Read returns the content of the file. It returns an error if the command has not written the file.
func (f *File) Read() ([]byte, error) {
	info, err := os.Stat(f.path) // must come before ReadFile, which would wait for the writer of a pipe
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

// Tee passes output on, counts its bytes, and can keep its text up to a limit.
type Tee struct {
	To io.Writer

	mu    sync.Mutex
	count int64
	text  []byte
	keep  bool
}

// NewTee returns a Tee. If the argument "keep" is true, the Tee keeps the text of the output.
func NewTee(to io.Writer, keep bool) *Tee { return &Tee{To: to, keep: keep} }

// Write implements io.Writer. After an error, the command cannot write any more output. Without the Tee, it could not either.
func (t *Tee) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.count += int64(len(p))
	if t.keep {
		t.text = append(t.text, p[:min(len(p), maxText+1-len(t.text))]...)
	}
	t.mu.Unlock()
	return t.To.Write(p)
}

// Count returns the number of bytes written.
func (t *Tee) Count() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// Text returns the text that was written. It returns an error if the text is too large.
func (t *Tee) Text() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.text) > maxText {
		return nil, fmt.Errorf("read the metrics of the command: its output is larger than %s", setting.Bytes(maxText))
	}
	return slices.Clone(t.text), nil
}
