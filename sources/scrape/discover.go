package scrape

import (
	"fmt"
)

// places are the targets that the settings and the files list, each once.
func (s *source) places() (all []place, problems []error) {
	taken := map[string]bool{}
	add := func(a *Address, group map[string]string) {
		p := a.place(s.env.Job, group)
		switch {
		case taken[p.key()]:
		case taken[p.labels.String()]:
			problems = append(problems, fmt.Errorf("%s is left out: another target has its labels %s", a.Place(), p.labels))
		case len(all) == maxTargets:
			problems = append(problems, fmt.Errorf("%s is left out: there are %d targets already", a.Place(), maxTargets))
		default:
			taken[p.key()], taken[p.labels.String()] = true, true
			all = append(all, p)
		}
	}
	for i := range s.set.Targets {
		add(&s.set.Targets[i], nil)
	}
	groups, bad := s.files.refresh()
	problems = append(problems, bad...)
	for i := range groups {
		for _, text := range groups[i].Targets {
			var a Address
			if err := a.UnmarshalText([]byte(text)); err == nil { // readGroups has checked it
				add(&a, groups[i].Labels)
			}
		}
	}
	return all, problems
}

// discover brings the targets up to date. One that stays keeps what is known of its page.
func (s *source) discover() []error {
	places, problems := s.places()
	old := map[string]*target{}
	for _, t := range s.targets {
		old[t.key()] = t
	}
	s.targets = s.targets[:0]
	for _, p := range places {
		t := old[p.key()]
		if t == nil {
			t = newTarget(p)
			s.openReport(t)
		}
		delete(old, p.key())
		s.targets = append(s.targets, t)
	}
	for _, t := range old {
		t.forget(s)
		s.closeReport(t)
	}
	return problems
}
