package statuspage

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
)

//go:embed templates
var templates embed.FS

// maxRows is the maximum number of jobs on one page. The user can search for the others.
const maxRows = 500

// views holds the parsed templates.
type views struct{ *template.Template }

func parseViews() *views {
	return &views{template.Must(template.New("").Funcs(functions()).ParseFS(templates, "templates/*.html"))}
}

// part is a part of a page that is sent to clients again when it has changed. Its name is the attribute data-part of its element.
type part struct {
	name string
	html template.HTML
}

// view is the data of a page, with its parts already rendered.
type view struct {
	Title   string
	Status  *Status
	Job     *Job
	Sink    *Sink
	Path    string // path of the page, with its query
	Search  string // text of the search for jobs
	Hidden  int    // number of matching jobs that are not shown
	Version string // hash of the parts

	parts []part
}

// page serves a page.
func (l *listener) page(w http.ResponseWriter, r *http.Request) {
	end, ok := l.begin(w)
	if !ok {
		return
	}
	v := l.viewOf(r, r.URL, l.History.now().Add(-fresh))
	var out bytes.Buffer
	var err error
	if v != nil {
		err = l.views.ExecuteTemplate(&out, "page.html", v)
	}
	end()
	switch {
	case v == nil && !l.all(r):
		refuse(w)
	case v == nil:
		http.Error(w, "there is nothing of that name", http.StatusNotFound)
	case err != nil:
		http.Error(w, "the page cannot be rendered: "+err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = out.WriteTo(w) // an error means that the client has gone
	}
}

// viewOf returns the view of the page with the given URL, made from a status of the time "since" or later. It returns nil if there is no
// such page, or if the request may not see it.
func (l *listener) viewOf(r *http.Request, page *url.URL, since time.Time) *view {
	v := &view{Path: page.RequestURI(), Status: l.limited(r, l.status(since))}
	kind, escaped, named := strings.Cut(strings.TrimPrefix(page.EscapedPath(), "/"), "/")
	name, err := url.PathUnescape(escaped)
	switch {
	case err != nil || named && v.Status.Summary:
		return nil
	case !named && kind == "":
		l.overview(v, page.Query().Get("q"))
	case kind == "jobs":
		if v.Job = l.job(name, queryOf(page.Query())); v.Job == nil {
			return nil
		}
		v.Title = v.Job.Name
		v.add(l.views, "head", "head", v)
		v.add(l.views, "job-now", "job-now", v)
		v.add(l.views, "job-runs", "job-runs", v)
		v.add(l.views, "job-left", "job-left", v)
		v.add(l.views, "job-series", "job-series", v)
		v.add(l.views, "job-requests", "job-requests", v)
		v.add(l.views, "job-document", "job-document", v)
		v.add(l.views, "job-configuration", "job-configuration", v)
	case kind == "sinks":
		if v.Sink = l.sink(name); v.Sink == nil {
			return nil
		}
		v.Title = v.Sink.Name
		v.add(l.views, "head", "head", v)
		v.add(l.views, "sink-now", "sink-now", v)
		v.add(l.views, "sink-requests", "sink-requests", v)
	default:
		return nil
	}
	v.Version = versionOf(v.parts, l.seed)
	return v
}

// overview makes the parts of the page that lists all jobs and sinks.
func (l *listener) overview(v *view, search string) {
	v.Search = search[:min(len(search), maxSearch)]
	v.add(l.views, "head", "head", v)
	v.add(l.views, "problems", "problems", v)
	v.add(l.views, "watched", "watched", v)
	rows := 0
	for i := range v.Status.Jobs {
		j := &v.Status.Jobs[i]
		if !containsAll(strings.ToLower(j.Name), strings.Fields(strings.ToLower(v.Search))) {
			continue
		}
		if rows++; rows > maxRows {
			v.Hidden++
			continue
		}
		v.add(l.views, "job "+j.Name, "job-row", rowOf(j, v.Status.Summary))
	}
	for i := range v.Status.Sinks {
		s := &v.Status.Sinks[i]
		v.add(l.views, "sink "+s.Name, "sink-row", sinkRow{v.Status, s})
	}
	v.add(l.views, "agent", "agent", v)
}

// sinkRow is the data of the template for a sink's row.
type sinkRow struct {
	Status *Status
	It     *Sink
}

// jobRow is the data of the template for a job's row. Most of it is rendered by Go code, because templates are slow and a page can have
// many rows.
type jobRow struct {
	Summary               bool
	Name, State, Schedule string
	Readings, Series      string
	Left                  string // number of readings left out since the start, "" if it is 0
	Mark, Strip           template.HTML
	Last, Next            template.HTML
}

func rowOf(j *Job, summary bool) *jobRow {
	last := timeInWords(j.LastStart)
	switch {
	case j.Running:
		last += "<small>running</small>"
	case !j.LastStart.IsZero():
		last += template.HTML("<small>took " + template.HTMLEscapeString(inWords(time.Duration(j.Duration*float64(time.Second)))) + "</small>") //nolint:gosec // escaped
	}
	left := ""
	if n := sum(j.Dropped); n > 0 {
		left = countInWords(n)
	}
	return &jobRow{
		Left: left, Summary: summary, Name: j.Name, State: j.State, Schedule: j.Schedule, Readings: countInWords(int64(j.Readings)), Series: countInWords(int64(j.Series)),
		Mark: stateInWords(j.State), Strip: strip(j.Runs), Last: last, Next: timeInWords(j.NextRun),
	}
}

// add renders a part and adds it to the view. If the template fails, which is a bug, the part is one line with the error.
func (v *view) add(views *views, name, template string, data any) {
	v.parts = append(v.parts, part{name, render(views, template, data)})
}

func render(views *views, name string, data any) template.HTML {
	var out bytes.Buffer
	if err := views.ExecuteTemplate(&out, name, data); err != nil {
		return template.HTML(template.HTMLEscapeString(fmt.Sprintf("%s cannot be rendered: %v", name, err)))
	}
	return template.HTML(out.String()) //nolint:gosec // made by html/template
}

// Part returns the HTML of a part.
func (v *view) Part(name string) template.HTML {
	for i := range v.parts {
		if v.parts[i].name == name {
			return v.parts[i].html
		}
	}
	return ""
}

// Rows returns the HTML of the parts whose names begin with the argument "word", such as "job" for the rows of all jobs.
func (v *view) Rows(word string) []template.HTML {
	var all []template.HTML
	for i := range v.parts {
		if strings.HasPrefix(v.parts[i].name, word+" ") {
			all = append(all, v.parts[i].html)
		}
	}
	return all
}
