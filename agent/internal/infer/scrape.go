package infer

import "strings"

// Probe returns a configuration that requests the API once and accepts any answer.
func Probe(r Request) *Draft {
	return &Draft{Job: jobName(r), request: r, plan: &plan{job: jobName(r)}, answers: 1}
}

// ScrapeYAML returns a configuration that scrapes a page of metrics and forwards all of them.
func ScrapeYAML(r Request) []byte {
	w := &writer{}
	w.line(0, "# Proposed by cton init: the answer is a page of metrics, which a scrape passes on as they are. Every setting: cton explain scrape")
	w.line(0, "%s", modeline)
	w.sinks()
	if r.Logins != "" {
		w.line(0, "")
		w.text.WriteString(strings.TrimRight(r.Logins, "\n") + "\n")
	}
	w.line(0, "")
	w.line(0, "jobs:")
	w.line(1, "%s:", yamlText(jobName(r)))
	w.line(2, `schedule: "@every 15s"`)
	w.line(2, "scrape:")
	w.line(3, "targets: [%s]", yamlText(r.URL.String()))
	if r.Auth != "" {
		w.line(3, "auth: %s", yamlText(r.Auth))
	}
	for line := range strings.Lines(r.Settings) {
		w.line(3, "%s", strings.TrimRight(line, "\n"))
	}
	if len(r.Headers) > 0 {
		w.line(3, "# A scrape sends no headers of its own. If the page needs those that were given, make them a login: cton explain auth")
	}
	return []byte(w.text.String())
}

// JobName returns the name of the job for a request.
func JobName(r Request) string { return jobName(r) }
