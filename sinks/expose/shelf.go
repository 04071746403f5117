package expose

import (
	"cmp"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/metric"
)

// shelf holds the newest families of every job, by name.
type shelf struct {
	apart    bool // a label tells the jobs' series apart
	families map[string]*family
	sorted   []*family            // by name
	jobs     map[string][]*family // those that a job has a part in
}

// family is all series of one name, whichever jobs they are of.
type family struct {
	name    string
	parts   []part // sorted by job
	shown   []part // of parts, what goes on the page; the first speaks for all of them in help and type
	lost    []loss // of parts, what does not
	legacy  bool   // no name in it needs escaping
	touched bool   // by the batch at hand
}

func (f *family) foreign() bool { return !f.legacy }

// series counts those that are shown.
func (f *family) series() (n int) {
	for i := range f.shown {
		n += len(f.shown[i].Series)
	}
	return n
}

// part is a job's share of a family.
type part struct {
	job string
	metric.Family
}

// loss is why series of a job are not on the page.
type loss struct {
	job    string
	reason metric.Reason
	series int
	why    string
}

// put replaces the families of a job and returns those that have changed; one without parts is gone.
func (s *shelf) put(b *metric.Batch) []*family {
	var touched []*family
	touch := func(f *family) {
		if !f.touched {
			f.touched = true
			touched = append(touched, f)
		}
	}
	for _, f := range s.jobs[b.Job] {
		f.parts = slices.DeleteFunc(f.parts, func(p part) bool { return p.job == b.Job })
		touch(f)
	}
	var holds []*family
	for i := range b.Families {
		if len(b.Families[i].Series) == 0 {
			continue
		}
		f := s.named(b.Families[i].Desc.Name)
		at, _ := slices.BinarySearchFunc(f.parts, b.Job, func(p part, job string) int {
			return cmp.Or(strings.Compare(p.job, job), -1) // after those of the same job
		})
		f.parts = slices.Insert(f.parts, at, part{b.Job, b.Families[i]})
		if n := len(holds); n == 0 || holds[n-1] != f {
			holds = append(holds, f)
		}
		touch(f)
	}
	if s.jobs[b.Job] = holds; len(holds) == 0 {
		delete(s.jobs, b.Job)
	}
	s.settle(touched)
	return touched
}

func (s *shelf) named(name string) *family {
	f := s.families[name]
	if f == nil {
		f = &family{name: name}
		s.families[name] = f
		at, _ := slices.BinarySearchFunc(s.sorted, name, byName)
		s.sorted = slices.Insert(s.sorted, at, f)
	}
	return f
}

func byName(f *family, name string) int { return strings.Compare(f.name, name) }

func (s *shelf) settle(touched []*family) {
	for _, f := range touched {
		f.touched = false
		f.settle(s.apart)
		if len(f.parts) > 0 {
			continue
		}
		delete(s.families, f.name)
		if at, found := slices.BinarySearchFunc(s.sorted, f.name, byName); found {
			s.sorted = slices.Delete(s.sorted, at, at+1)
		}
	}
}
