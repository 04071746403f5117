package infer

import (
	"path"
	"strings"

	"github.com/collectington/collectington/agent/pattern"
)

var version = pattern.OnUse(`^v?[0-9.]+[a-z0-9]*$`)

// jobName returns a name for the job. It is the last specific part of the URL's path, or a part of the host's name if the path has no
// specific part.
func jobName(r Request) string {
	if r.URL == nil {
		base := path.Base(strings.ReplaceAll(r.File, `\`, "/"))
		base, _, _ = strings.Cut(base, ".")
		return safeName(base)
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	for i := len(parts) - 1; i >= 0; i-- {
		part := parts[i]
		if end := strings.IndexAny(part, ".;"); end >= 0 {
			part = part[:end]
		}
		w := words(part)
		if len(w) == 0 || version().MatchString(part) || isRandom(part) || isCode(part) || part[0] >= '0' && part[0] <= '9' || has(w, "api", "rest", "json", "graphql", "query", "search", "index", "all", "list", "get", "any", "data", "latest", "current", "summary", "status", "public", "info", "stats", "metrics", "file", "php") && len(w) == 1 {
			continue
		}
		return safeName(part)
	}
	labels := strings.Split(r.URL.Hostname(), ".")
	if n := len(labels); n > 1 && !version().MatchString(labels[n-1]) {
		return safeName(labels[n-2])
	}
	if labels[0] != "" && !version().MatchString(labels[0]) && !strings.Contains(labels[0], ":") {
		return safeName(labels[0])
	}
	return "api"
}

func safeName(text string) string {
	name := join(text)
	if name == "value" || name == "cton" || name == "" {
		return "api"
	}
	if len(name) > 40 {
		name = strings.Trim(name[:40], "_")
	}
	return name
}
