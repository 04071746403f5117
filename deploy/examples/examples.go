// Package examples contains example configurations.
package examples

import (
	_ "embed" // the files
	"strconv"
	"strings"
)

//go:embed demo.yaml
var demo string

// The addresses in demo.yaml that Demo replaces.
const (
	demoAPI  = "http://127.0.0.1:8001"
	demoPage = `"127.0.0.1:8000"`
)

// Demo returns the configuration of cton demo. The argument "api" is the base URL of the sample API, such as http://127.0.0.1:8001. The
// page listens on the address "listen", such as 127.0.0.1:8000.
func Demo(api, listen string) string {
	return strings.NewReplacer(demoAPI, api, demoPage, strconv.Quote(listen)).Replace(demo)
}
