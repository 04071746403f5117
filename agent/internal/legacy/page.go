package legacy

import (
	"slices"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// pages are what ports become.
type pages struct {
	ports []*yaml.Node   // each once
	of    map[string]int // by service: which of the ports
}

// port notes which page a service is on: that of its own port, or of the file's.
func (r *reader) port(s member, o object) {
	m, ok := o.get(keyPort)
	path := o.path(keyPort)
	if !ok {
		m, ok = r.top.get(keyPort)
		path = keyPort
	}
	at := m.value
	if !ok {
		r.missing(r.top, keyPort, "where the page of metrics listens, such as 8000")
		at = text(r.doc.Root, "8000")
	} else if number, err := strconv.ParseUint(at.Value, 10, 16); err != nil || number == 0 || at.ShortTag() != "!!int" {
		r.bad(at, path, "want a port: a number from 1 to 65535")
		at = text(at, "8000")
	}
	page := slices.IndexFunc(r.pages.ports, func(p *yaml.Node) bool { return p.Value == at.Value })
	if page < 0 {
		page = len(r.pages.ports)
		r.pages.ports = append(r.pages.ports, at)
	}
	r.pages.of[s.key.Value] = page
}

// sinks are the pages. Where there are several, each job names its own.
func (r *reader) sinks(jobs *yaml.Node) *yaml.Node {
	sinks := mapping(r.pages.ports[0])
	for _, port := range r.pages.ports {
		settings, kind := mapping(port), mapping(port)
		add(settings, text(port, "listen"), text(port, ":"+port.Value))
		created := text(port, "true")
		created.Tag, created.LineComment = "!!bool", "# as the Python client showed them"
		add(settings, text(port, "created_series"), created)
		add(kind, text(port, "expose"), settings)
		add(sinks, text(port, r.pageName(port)), kind)
	}
	if len(r.pages.ports) == 1 {
		return sinks
	}
	for _, job := range members(jobs) {
		port := r.pages.ports[r.pages.of[job.key.Value]]
		job.value.Content = slices.Insert(job.value.Content, 2, text(port, "sinks"), list(port, text(port, r.pageName(port))))
	}
	return sinks
}

func (r *reader) pageName(port *yaml.Node) string {
	if len(r.pages.ports) == 1 {
		return "page"
	}
	return "page-" + port.Value
}
