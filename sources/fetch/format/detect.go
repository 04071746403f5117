package format

import (
	"mime"
	"strings"
)

// detect is the format that a content type stands for, and whether it stands for one. Types that are not known are taken
// for JSON, since that is what most APIs mean.
func detect(contentType string) (name Name, known bool) {
	kind, params, _ := mime.ParseMediaType(contentType)
	switch kind {
	case "application/json", "text/json":
		return JSON, true
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonl",
		"application/jsonlines", "application/x-jsonlines", "application/json-seq":
		return NDJSON, true
	case "text/csv", "application/csv":
		return CSVTable, true
	case "text/tab-separated-values":
		return TSVTable, true
	case "application/xml", "text/xml":
		return XMLTree, true
	case "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml":
		return YAML, true
	case "text/plain":
		if params["version"] == "0.0.4" || params["version"] == "1.0.0" {
			return Prometheus, true
		}
	}
	_, suffix, _ := strings.Cut(kind, "+") // RFC 6839
	switch {
	case kind == "application/xhtml+xml":
	case suffix == "json":
		return JSON, true
	case suffix == "xml":
		return XMLTree, true
	case suffix == "yaml":
		return YAML, true
	}
	return JSON, false
}

// Accept is the header that asks for the format (RFC 9110 section 12.5.1).
func (n Name) Accept() string {
	switch n {
	case NDJSON:
		return "application/x-ndjson, application/json;q=0.5, */*;q=0.1"
	case CSVTable:
		return "text/csv, */*;q=0.1"
	case TSVTable:
		return "text/tab-separated-values, */*;q=0.1"
	case XMLTree:
		return "application/xml, text/xml, */*;q=0.1"
	case YAML:
		return "application/yaml, */*;q=0.1"
	case Prometheus:
		return "text/plain;version=0.0.4, */*;q=0.1"
	case PlainText:
		return "text/plain, */*;q=0.1"
	}
	return "application/json"
}

// maxMediaType is how long a media type is shown.
const maxMediaType = 60

// mediaType is what a content type says without its parameters, for messages; "" where it says nothing.
func mediaType(contentType string) string {
	kind, _, _ := mime.ParseMediaType(contentType)
	if kind == "" && contentType != "" || len(kind) > maxMediaType {
		return "something else" // and may be anything, so it is not shown
	}
	return kind
}
