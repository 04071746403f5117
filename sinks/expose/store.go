package expose

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// familyStore holds the last families of all jobs.
type familyStore struct {
	hasJobLabel bool // series of different jobs always have different labels
	families    map[string]*family
	sorted      []*family            // all families, sorted by name
	jobs        map[string][]*family // the families that contain series of a job
}

// put replaces the families of a job. It returns the families that have changed, including those that no longer have any series.
func (s *familyStore) put(b *metric.Batch) []*family {
	var changed []*family
	mark := func(f *family) {
		if !f.changed {
			f.changed = true
			changed = append(changed, f)
		}
	}
	for _, f := range s.jobs[b.Job] {
		f.parts = slices.DeleteFunc(f.parts, func(p part) bool { return p.job == b.Job })
		mark(f)
	}
	var has []*family
	for i := range b.Families {
		if len(b.Families[i].Series) == 0 {
			continue
		}
		f := s.family(b.Families[i].Desc.Name)
		at, _ := slices.BinarySearchFunc(f.parts, b.Job, func(p part, job string) int {
			return cmp.Or(strings.Compare(p.job, job), -1) // after the parts of the same job
		})
		f.parts = slices.Insert(f.parts, at, part{b.Job, b.Families[i]})
		if n := len(has); n == 0 || has[n-1] != f {
			has = append(has, f)
		}
		mark(f)
	}
	if s.jobs[b.Job] = has; len(has) == 0 {
		delete(s.jobs, b.Job)
	}
	for i := 0; i < len(changed); i++ { // changed grows
		for _, suffix := range suffixes {
			if f := s.families[changed[i].name+suffix]; f != nil {
				mark(f)
			}
		}
	}
	slices.SortStableFunc(changed, func(a, b *family) int { return cmp.Compare(len(a.name), len(b.name)) }) // a histogram before families that have the names of its series
	for _, f := range changed {
		f.changed = false
		f.resolveConflicts(s.hasJobLabel, s.whole(f.name))
		if len(f.parts) == 0 {
			s.remove(f)
		}
	}
	return changed
}

// suffixes are the endings of the names of series of a histogram or a summary. They follow the name of the family.
var suffixes = [...]string{"_bucket", "_count", "_sum"}

// whole returns the histogram or summary on the page that has series of this name, or nil.
func (s *familyStore) whole(name string) *family {
	for _, suffix := range suffixes {
		f := s.families[strings.TrimSuffix(name, suffix)]
		if f == nil || f.name == name || len(f.shown) == 0 {
			continue
		}
		switch d := f.shown[0].Desc; {
		case d.Type == metric.Histogram, d.Type == metric.Summary && suffix != "_bucket":
			return f
		}
	}
	return nil
}

// family returns the family with this name, and creates it if it does not exist.
func (s *familyStore) family(name string) *family {
	f := s.families[name]
	if f == nil {
		f = &family{name: name}
		s.families[name] = f
		at, _ := slices.BinarySearchFunc(s.sorted, name, byName)
		s.sorted = slices.Insert(s.sorted, at, f)
	}
	return f
}

func (s *familyStore) remove(f *family) {
	delete(s.families, f.name)
	if at, found := slices.BinarySearchFunc(s.sorted, f.name, byName); found {
		s.sorted = slices.Delete(s.sorted, at, at+1)
	}
}

func byName(f *family, name string) int { return strings.Compare(f.name, name) }

// family holds all series with one metric name, from all jobs.
type family struct {
	name     string
	parts    []part    // sorted by job
	shown    []part    // the parts, or parts of them, that are on the page; the first one has the help and type
	dropped  []dropped // the series in parts that are not on the page
	isLegacy bool      // no name in it needs escaping
	changed  bool      // it was changed by the current batch
}

// part holds the series that one job has in a family.
type part struct {
	job string
	metric.Family
}

// dropped says why series of a job are not on the page.
type dropped struct {
	job    string
	reason metric.Reason
	series int
	text   string
}

func (f *family) needsEscaping() bool { return !f.isLegacy }

// series returns the number of series that are shown.
func (f *family) series() (n int) {
	for i := range f.shown {
		n += len(f.shown[i].Series)
	}
	return n
}

// resolveConflicts decides which series are on the page. On the page, a metric name has one type, and each series occurs once. If jobs
// conflict, the job that is first by name is shown. A family that would make the page invalid is dropped. If the argument "whole" is not
// nil, all parts of the family are dropped: "whole" is a histogram or summary on the page that has series of this name.
func (f *family) resolveConflicts(hasJobLabel bool, whole *family) {
	f.shown, f.dropped, f.isLegacy = nil, nil, true
	var seen seriesSet
	for _, p := range f.parts {
		if text := cmp.Or(invalidName(&p), missingValue(&p)); text != "" {
			f.drop(p, sinks.Unsupported, len(p.Series), text)
			continue
		}
		f.isLegacy = f.isLegacy && hasLegacyNames(&p)
		switch {
		case whole != nil:
			f.drop(p, sinks.Collision, len(p.Series), "the "+whole.shown[0].Desc.Type.String()+" "+whole.name+" of job "+whole.shown[0].job+" has series of this name")
			continue
		case len(f.shown) > 0 && f.shown[0].Desc.Type != p.Desc.Type:
			f.drop(p, sinks.Collision, len(p.Series), "its type is "+f.shown[0].Desc.Type.String()+" in job "+f.shown[0].job+" and "+p.Desc.Type.String()+" here")
			continue
		case len(f.parts) > 1 && !(hasJobLabel && f.hasOnePartPerJob()):
			all := len(p.Series)
			p.Series = seen.unseen(&p, hasJobLabel)
			if n := all - len(p.Series); n > 0 {
				text := "the job has the same series twice"
				if len(f.shown) > 0 {
					text = "job " + f.shown[0].job + " has the same series"
				}
				f.drop(p, sinks.Collision, n, text)
			}
		}
		if len(p.Series) > 0 {
			f.shown = append(f.shown, p)
		}
	}
}

func (f *family) drop(p part, reason metric.Reason, series int, text string) {
	f.dropped = append(f.dropped, dropped{p.job, reason, series, text})
}

func (f *family) hasOnePartPerJob() bool {
	for i := range f.parts[1:] {
		if f.parts[i].job == f.parts[i+1].job {
			return false
		}
	}
	return true
}

// invalidName checks the names in a part, and whether the part's type can be written in every format. It returns a text that says what
// would make the page invalid, or "".
func invalidName(p *part) string {
	d := p.Desc
	if !model.UTF8Validation.IsValidMetricName(d.Name) {
		return "the metric name is empty or not UTF-8"
	}
	if d.Type == metric.GaugeHistogram {
		return "gauge histograms cannot be written in every format"
	}
	for _, name := range labelNames(p) {
		switch {
		case !model.UTF8Validation.IsValidLabelName(name):
			return "a label name is empty or not UTF-8"
		case strings.Contains(name, ":"):
			// expfmt would write such a name without quotes, and no parser accepts that.
			return "the label name " + name + " has a colon"
		case name == model.MetricNameLabel,
			name == model.BucketLabel && d.Type == metric.Histogram,
			name == model.QuantileLabel && d.Type == metric.Summary:
			return "the label name " + name + " is reserved"
		}
	}
	return ""
}

// missingValue checks the series of a part. If a value is missing in one of them, it returns a text about this value. Otherwise it returns
// "".
func missingValue(p *part) string {
	switch p.Desc.Type {
	case metric.Histogram:
		if slices.ContainsFunc(p.Series, func(s metric.Series) bool { return s.Histogram() == nil }) {
			return "a series of the histogram has no buckets"
		}
	case metric.Summary:
		if slices.ContainsFunc(p.Series, func(s metric.Series) bool { return s.Summary() == nil }) {
			return "a series of the summary has no count"
		}
	}
	return ""
}

// labelNames returns the names of labels that the series of a part can have.
func labelNames(p *part) []string {
	names := slices.Clone(p.Desc.LabelNames)
	for _, l := range p.Desc.Const {
		names = append(names, l.Name)
	}
	if i := slices.Index(names, metric.MoreLabels); i >= 0 {
		names = slices.Delete(names, i, i+1)
		known := map[string]bool{}
		for i := range p.Series {
			for l := range p.Series[i].Labels.All() {
				known[l.Name] = true
			}
		}
		names = slices.AppendSeq(names, maps.Keys(known))
	}
	return names
}

// hasLegacyNames reports whether every name is valid in Prometheus before 3.0, so that no format escapes it.
func hasLegacyNames(p *part) bool {
	return model.LegacyValidation.IsValidMetricName(p.Desc.Name) &&
		!slices.ContainsFunc(labelNames(p), func(name string) bool { return !model.LegacyValidation.IsValidLabelName(name) })
}

// seriesSet is a set of label sets.
type seriesSet struct {
	seen map[string]struct{}
	key  []byte
}

// unseen returns the series of the part that are not in the set, and adds them to the set. If there is a job label, series of different
// jobs are always different.
func (s *seriesSet) unseen(p *part, hasJobLabel bool) []metric.Series {
	kept := make([]metric.Series, 0, len(p.Series))
	for i := range p.Series {
		s.key = s.key[:0]
		if hasJobLabel {
			s.appendKey(p.job)
		}
		if set := p.Series[i].Labels; set != nil {
			for l := range set.All() {
				s.appendKey(l.Name)
				s.appendKey(l.Value)
			}
		}
		if s.addKey() {
			kept = append(kept, p.Series[i])
		}
	}
	return kept
}

// appendKey appends a text to the key, and after it a byte that separates the texts. This byte cannot occur in UTF-8.
func (s *seriesSet) appendKey(text string) { s.key = append(append(s.key, text...), 0xff) }

// addKey adds the key to the set, and reports whether it was not in the set before.
func (s *seriesSet) addKey() bool {
	if _, known := s.seen[string(s.key)]; known {
		return false
	}
	if s.seen == nil {
		s.seen = map[string]struct{}{}
	}
	s.seen[string(s.key)] = struct{}{}
	return true
}
