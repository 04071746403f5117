package groups

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/text"
)

// A group is stored in one file. The first line has the format and a CRC-32C of the remaining file. The second line is JSON with
// everything except the metrics, which follow as delimited protobuf.
const (
	format     = "cton-group-1"
	fileSuffix = ".group"
	badSuffix  = ".bad"
	lockFile   = "lock"
)

// header is the content of the second line of a file.
type header struct {
	Labels   [][2]string `json:"labels"`
	Pushed   time.Time   `json:"pushed"`
	Failed   time.Time   `json:"failed"`
	Changed  time.Time   `json:"changed"`
	Messages []message   `json:"messages"`
}

// message describes one of the messages with metrics.
type message struct {
	Time    time.Time `json:"time"`
	IsGauge bool      `json:"gauge_histogram,omitempty"` // the message itself does not say this
}

// fileName returns the name of a group's file.
func fileName(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:16]) + fileSuffix
}

// save writes the groups of the batch, and the groups in the set "suspect".
func (s *Store) save() error {
	if s.Dir == nil {
		return nil
	}
	var names, removed []string
	var changed []*Group
	keep := func(key string, g *Group) {
		if g == nil {
			removed = append(removed, fileName(key))
			return
		}
		names, changed = append(names, fileName(key)), append(changed, g)
	}
	for key, g := range s.pending {
		keep(key, g)
	}
	for key := range s.suspect {
		if _, both := s.pending[key]; !both {
			keep(key, s.groups[key])
		}
	}
	var err error
	if len(names) > 0 {
		_, err = durable.ReplaceAll(s.Dir, names, func(i int, w io.Writer) error {
			content, err := changed[i].encode()
			if err == nil {
				_, err = w.Write(content)
			}
			return err
		})
	}
	for _, name := range removed {
		if failed := s.Dir.Remove(name); failed != nil && !errors.Is(failed, fs.ErrNotExist) {
			err = errors.Join(err, failed)
		}
	}
	if len(removed) > 0 {
		err = errors.Join(err, s.Dir.SyncDir())
	}
	if err != nil {
		return fmt.Errorf("write to %s: %s", s.Place, text.OneLine(err.Error()))
	}
	return nil
}

// encode returns the content of the file for a group.
func (g *Group) encode() ([]byte, error) {
	h := header{Pushed: g.Pushed, Failed: g.Failed, Changed: g.Changed}
	for _, l := range g.Labels {
		h.Labels = append(h.Labels, [2]string{l.Name, l.Value})
	}
	var metrics bytes.Buffer
	var c metric.Converter
	for _, f := range g.Families {
		for i := range f.Parts {
			h.Messages = append(h.Messages, message{Time: f.Time, IsGauge: f.Type == metric.GaugeHistogram})
			if _, err := protodelim.MarshalTo(&metrics, c.Family(&f.Parts[i])); err != nil {
				return nil, err
			}
		}
	}
	line, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	rest := append(append(line, '\n'), metrics.Bytes()...)
	return append(fmt.Appendf(nil, "%s %08x\n", format, durable.Checksum(rest)), rest...), nil
}

// decode reads the content of a group's file.
func decode(content []byte) (*Group, error) {
	first, rest, _ := bytes.Cut(content, []byte("\n"))
	if string(first) != fmt.Sprintf("%s %08x", format, durable.Checksum(rest)) {
		return nil, errors.New("it is damaged, or another version of cton has written it: push the group again")
	}
	line, metrics, _ := bytes.Cut(rest, []byte("\n"))
	var h header
	if err := json.Unmarshal(line, &h); err != nil {
		return nil, err
	}
	var labels []metric.Label
	for _, l := range h.Labels {
		labels = append(labels, metric.Label{Name: l[0], Value: l[1]})
	}
	g := newGroup(labels, keyOf(labels))
	g.Pushed, g.Failed, g.Changed = h.Pushed.Local(), h.Failed.Local(), h.Changed.Local()
	in := bytes.NewReader(metrics)
	for _, m := range h.Messages {
		pushed := &dto.MetricFamily{}
		if err := (protodelim.UnmarshalOptions{MaxSize: int64(len(metrics))}).UnmarshalFrom(in, pushed); err != nil {
			return nil, err
		}
		if m.IsGauge {
			pushed.Type = dto.MetricType_GAUGE_HISTOGRAM.Enum()
		}
		c := converter{scheme: model.UTF8Validation, at: m.Time.Local(), sets: map[string]*metric.LabelSet{}}
		f, err := c.family(pushed)
		if err != nil {
			return nil, err
		}
		if n := len(g.Families); n > 0 && g.Families[n-1].Name == f.Name {
			g.Families[n-1].Parts = append(g.Families[n-1].Parts, f.Parts...)
			continue
		}
		g.Families = append(g.Families, f)
	}
	g.weigh()
	return g, nil
}

// load locks the directory and reads the groups in it. It renames each file that cannot be used, and returns a problem for it.
func load(o *Options) (all []*Group, problems []error, err error) {
	if err := o.Dir.Mkdir("."); err != nil {
		return nil, nil, fmt.Errorf("create dir %s: %w", o.Place, err)
	}
	if err := o.Dir.Lock(lockFile); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, nil, fmt.Errorf("lock dir %s: %w", o.Place, err)
	}
	names, err := o.Dir.ReadDir(".")
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("read dir %s: %w", o.Place, err), o.Dir.Unlock())
	}
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, durable.TempName(fileSuffix)):
			_ = o.Dir.Remove(name) // a process was killed before it had responded to the push
		case strings.HasSuffix(name, fileSuffix):
			content, err := o.Dir.ReadFile(name, math.MaxInt64)
			if err != nil {
				return nil, nil, errors.Join(fmt.Errorf("read %s/%s: %w", o.Place, name, err), o.Dir.Unlock())
			}
			g, err := decode(content)
			if err == nil && fileName(g.key) != name {
				err = errors.New("it has the name of another group")
			}
			if err != nil {
				problems = append(problems, fmt.Errorf("the group in %s/%s is lost, the file is kept as %s: %w", o.Place, name, name+badSuffix, err))
				_ = o.Dir.Rename(name, name+badSuffix) // otherwise it would be reported again at each start
				continue
			}
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b *Group) int { return strings.Compare(a.key, b.key) })
	return all, problems, nil
}
