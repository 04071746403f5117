// Package examples is configurations to begin with.
package examples

import (
	_ "embed" // the files
	"strconv"
	"strings"
)

//go:embed demo.yaml
var demo string

// The addresses in demo.yaml, which Demo can replace.
const (
	demoAPI  = "http://127.0.0.1:8001"
	demoPage = `"127.0.0.1:8000"`
)

// Demo is the configuration of cton demo, for an API at a root such as http://127.0.0.1:8001 and a page that listens on an
// address such as 127.0.0.1:8000.
func Demo(api, listen string) string {
	return strings.NewReplacer(demoAPI, api, demoPage, strconv.Quote(listen)).Replace(demo)
}
