package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/text"
)

// Warning describes something in a valid configuration that is probably not intended.
type Warning struct {
	Place  string `json:"place"` // file, line and column, and path of the setting
	Text   string `json:"text"`
	Remedy string `json:"remedy"`

	Job string `json:"-"` // the job that it concerns; "" = none

	line int
}

// String returns the warning as one line.
func (w Warning) String() string { return fmt.Sprintf("%s: %s; %s", w.Place, w.Text, w.Remedy) }

// LookBack is the maximum age of a sample that Prometheus uses in an instant query (query.lookback-delta).
const LookBack = 5 * time.Minute

// warn collects the warnings of a plan.
func (r *reader) warn(plan *Plan, root *yaml.Node) {
	w := &warner{reader: r, plan: plan, root: root}
	plan.Warnings = slices.Clone(r.unread)
	if !r.partial { // otherwise, jobs that were left out may use the logins and sinks
		w.unused()
	}
	w.forgotten()
	for i := range plan.Jobs {
		w.job(&plan.Jobs[i])
	}
	slices.SortStableFunc(plan.Warnings, func(a, b Warning) int { return cmp.Compare(a.line, b.line) })
}

// warner adds warnings to a plan.
type warner struct {
	*reader
	plan *Plan
	root *yaml.Node
}

func (w *warner) add(job string, path []string, what, remedy string) {
	warning := w.warning(w.Problem(keyAt(w.root, path...), join(path...), ""), what, remedy)
	warning.Job = job
	w.plan.Warnings = append(w.plan.Warnings, warning)
}

// Warning returns the problem as a warning.
func (p Problem) Warning(remedy string) Warning {
	what := p.Text
	p.Text = ""
	return Warning{Place: strings.TrimSuffix(p.Brief(), ": "), Text: what, Remedy: remedy, line: p.at}
}

// warning returns a warning with the position of a problem.
func (f *File) warning(at Problem, what, remedy string) Warning {
	return Warning{Place: strings.TrimSuffix(at.Brief(), ": "), Text: text.OneLine(what), Remedy: remedy, line: at.at}
}

// unused adds a warning for each login that no setting names, and for each sink that no job uses.
func (w *warner) unused() {
	used := map[string]bool{}
	namesAuth(w.root, used, map[*yaml.Node]bool{})
	for _, a := range w.plan.Auth {
		if !used[a.Name] {
			w.add("", []string{"auth", a.Name}, "no job and no sink uses this login", "name it by auth: "+a.Name+", or remove it")
		}
	}
	for _, s := range w.plan.Sinks {
		if !slices.Contains(w.plan.Own.Sinks, s.Name) && !slices.ContainsFunc(w.plan.Jobs, func(j Job) bool { return j.GoesTo(s.Name) }) {
			w.add("", []string{"sinks", s.Name}, "no job sends its metrics to this sink", "add it to the sinks of a job, or remove it")
		}
	}
}

// forgotten warns of refresh tokens if no file is set in which to store their replacements.
func (w *warner) forgotten() {
	for _, a := range w.plan.Auth {
		if o := a.Settings.OAuth2; o != nil && o.RefreshToken != "" && o.TokenFile == "" && w.plan.StateFile == "" {
			w.add("", []string{"auth", a.Name, "oauth2", "refresh_token"}, "if the server replaces the refresh token, the new one is lost when the program ends, and each cton try uses one up",
				"set state_file or token_file, which keep it")
		}
	}
}

// namesAuth collects the values of all settings named auth in the file. seen has the nodes of aliases that were visited,
// since such a node can contain itself.
func namesAuth(n *yaml.Node, used map[string]bool, seen map[*yaml.Node]bool) {
	if n.Kind == yaml.AliasNode && !seen[n.Alias] {
		seen[n.Alias] = true
		namesAuth(n.Alias, used, seen)
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "auth" {
			used[resolve(child).Value] = true
		}
		namesAuth(child, used, seen)
	}
}

// job warns of settings in one job that are probably not intended.
func (w *warner) job(j *Job) {
	interval := shortest(j.Schedule)
	if j.Unscheduled {
		interval = 0 // the interval is not known
	}
	if j.ValidFor > 0 && time.Duration(j.ValidFor) < interval {
		w.add(j.Name, []string{"jobs", j.Name, "valid_for"}, fmt.Sprintf("is shorter than the time between two runs, %s: each series disappears before the next run", interval),
			"set it to more than "+interval.String()+", or remove it: the default is two intervals")
	}
	values := valuesOf(j)
	all, _ := j.Declares()
	for _, m := range all {
		path := append(append([]string{"jobs", j.Name}, strings.Split(j.MetricsAt, ".")...), m.Name)
		add := func(what, remedy string) {
			if what != "" {
				w.add(j.Name, path, what, remedy)
			}
		}
		add(badName(m))
		add(withoutSeconds(m, values[m.Name]))
		if page := w.plan.Page(j); page != "" && m.OwnTimes && interval > LookBack {
			add(Unseen(page, fmt.Sprintf("the job runs every %s", interval)))
		}
		if m.Once && m.Remember < interval {
			add(fmt.Sprintf("forgets event ids after %s, but runs every %s: each event that is shown again counts again", m.Remember, interval),
				"set remember to more than "+interval.String())
		}
	}
}

// Unseen returns the warning that samples on a page are too old to be seen in Prometheus.
func Unseen(page, why string) (what, remedy string) {
	return fmt.Sprintf("the page of sinks.%s shows the readings with their own time, and Prometheus shows none that is older than 5 minutes: %s", page, why),
		"query it by last_over_time(NAME[1d]), send it by remote_write instead, or leave out time, so that the page shows the value as of now"
}

// Page returns the name of the first sink that waits to be scraped and gets the job's metrics. It returns "" if there is
// none.
func (p *Plan) Page(j *Job) string {
	for _, s := range p.Sinks {
		if s.Kind.Pull && j.GoesTo(s.Name) {
			return s.Name
		}
	}
	return ""
}

// shortest returns the shortest time between two consecutive runs, among the next runs of a schedule.
func shortest(s *schedule.Schedule) time.Duration {
	at := time.Date(2026, time.January, 5, 0, 0, 0, 0, time.UTC)
	least := s.Interval(at)
	for range 24 {
		if at = s.Next(at); at.IsZero() {
			break
		}
		if next := s.Interval(at); next > 0 {
			least = min(least, next)
		}
	}
	return least
}

// valuesOf returns the value expressions of a job's metrics, by metric.
func valuesOf(j *Job) map[string]string {
	all := map[string]string{}
	if j.SourceKind.Expressions == nil {
		return all
	}
	for _, e := range j.SourceKind.Expressions(j.SourceConfig) {
		if name, ok := strings.CutSuffix(e.Setting, ".value"); ok {
			all[name] = e.Text
		}
	}
	return all
}

// otherUnits returns units that names of metrics often end in. For each it says how to convert it to the base unit that
// Prometheus recommends (https://prometheus.io/docs/practices/naming/#base-units).
func otherUnits() map[string]string {
	const seconds, bytes, ratio = "seconds", "bytes", "ratio, and give its value from 0 to 1: / 100"
	by := func(base, factor string) string { return base + ", and give its value in " + base + ": " + factor }
	return map[string]string{
		"ms": by(seconds, "/ 1000"), "msec": by(seconds, "/ 1000"), "millis": by(seconds, "/ 1000"), "milliseconds": by(seconds, "/ 1000"),
		"microseconds": by(seconds, "/ 1000000"), "nanoseconds": by(seconds, "/ 1000000000"),
		"minutes": by(seconds, "* 60"), "hours": by(seconds, "* 3600"), "days": by(seconds, "* 86400"), "weeks": by(seconds, "* 604800"),
		"kilobytes": by(bytes, "* 1000"), "megabytes": by(bytes, "* 1000000"), "gigabytes": by(bytes, "* 1000000000"),
		"kib": by(bytes, "* 1024"), "mib": by(bytes, "* 1048576"), "gib": by(bytes, "* 1073741824"),
		"percent": ratio, "pct": ratio,
		"fahrenheit": by("celsius", "(. - 32) / 1.8"),
	}
}

// badName returns what is wrong with a name that is valid but breaks the rules of promtool check metrics.
func badName(m *metric.Desc) (what, remedy string) {
	base := strings.TrimSuffix(m.Name, "_total")
	end := base[strings.LastIndex(base, "_")+1:]
	switch unit := otherUnits()[end]; {
	case m.Type != metric.Counter && base != m.Name:
		return "ends in _total, which is for counters", "leave out _total, or make it a counter"
	case unit != "" && end != base && m.Unit != end:
		return "has the unit " + end + ", which is no base unit of Prometheus", "call it " + strings.TrimSuffix(base, end) + unit + "; or, if it is meant, set unit: " + end
	case m.Unit == "" && regexp.MustCompile(`[a-z][A-Z]`).MatchString(m.Name):
		return "is not in snake_case, as names of metrics are", "call it " + snake(m.Name)
	}
	return "", ""
}

func snake(name string) string {
	return strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(name, "${1}_${2}"))
}

// withoutSeconds warns if a name does not contain its unit, although the value is certainly in seconds: a difference of two
// times.
func withoutSeconds(m *metric.Desc, value string) (what, remedy string) {
	parts := strings.Split(value, " - ")
	if len(parts) != 2 {
		return "", "" // this is so for most values, and avoids compiling the expressions
	}
	times := regexp.MustCompile(`\b(now|timestamp|fromdate|fromdateiso8601|mktime)\b`)
	difference := regexp.MustCompile(`^[^-]*\b(now|timestamp|fromdate|fromdateiso8601|mktime)\)?\s+-\s+[^-]*$`)
	if !difference.MatchString(value) || !times.MatchString(parts[1]) || strings.ContainsAny(value, "/*<>=?%") || strings.Contains(value, "if ") {
		return "", ""
	}
	base := strings.TrimSuffix(m.Name, "_total")
	if strings.Contains(base, "second") || strings.Contains(base, "timestamp") {
		return "", ""
	}
	name := base + "_seconds" + strings.TrimPrefix(m.Name, base)
	return "its values are seconds, and its name does not say so", "call it " + name + ", and set unit: seconds"
}
