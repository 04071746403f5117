package convert

import (
	"slices"

	"go.yaml.in/yaml/v4"
)

// askedPattern is a pattern for a document with one field. The field is named "answer" and has the whole text.
const askedPattern = `(?s)(?P<answer>.+)`

// ask calls Options.Ask for a document of the job, if the document is needed to find out the names of the fields. It returns nil otherwise, and
// if Options.Ask is nil. If the request fails, it adds a note and returns nil.
func (t *telegraf) ask(n *node, j *job) []byte {
	if t.options.Ask == nil {
		return nil
	}
	tried, before := *j, *t.out
	tried.settings = withSettings(j.settings)
	r := reading{t: t, n: n, job: &tried}
	needed := slices.ContainsFunc(r.blocks(), func(b *block) bool { return b.needs != "" })
	*t.out = before // the notes are made again with the answer
	if !needed {
		return nil
	}
	text, err := question(j)
	if err != nil {
		return nil
	}
	answer, err := t.options.Ask(text, false)
	if err != nil {
		t.out.lose(&j.notes, n.line, "--ask", "there is no answer: %v", err)
		return nil
	}
	return answer
}

// question returns a configuration with one job, whose document is the text of the source's answer, or the rows of a query.
func question(j *job) ([]byte, error) {
	q := &job{name: j.name, schedule: j.schedule, timeout: j.timeout, kind: j.kind, metrics: []*metricOut{{name: "asked", kind: "gauge", value: "1"}}}
	q.settings = j.settings
	if j.kind != "sql" {
		q.settings = withSettings(j.settings, "format", "text", "text", object("pattern", askedPattern))
	}
	o := output{jobs: []*job{q}}
	o.defaultSink()
	return o.YAML()
}

// withSettings returns a copy of a mapping with more pairs.
func withSettings(n *yaml.Node, more ...any) *yaml.Node {
	c := object()
	if n != nil {
		*c = *n
		c.Content = slices.Clone(n.Content)
	}
	for i := 0; i+1 < len(more); i += 2 {
		put(c, more[i].(string), more[i+1])
	}
	return c
}

// Answer returns the text of the first answer in a document, and false if the document has none. The document is that of a job that was
// asked. It is a list if the job has several URLs or files.
func Answer(document any) (string, bool) {
	switch v := document.(type) {
	case []any:
		for _, item := range v {
			if text, ok := Answer(item); ok {
				return text, true
			}
		}
	case map[string]any:
		if text, ok := v["answer"].(string); ok {
			return text, true
		}
		for _, name := range []string{"body", "document"} {
			if text, ok := Answer(v[name]); ok {
				return text, true
			}
		}
	}
	return "", false
}
