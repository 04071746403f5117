package config

import _ "embed" // the example

//go:embed example.yaml
var example string

// Example is a configuration that names every setting that is not of a kind, at its default.
func Example() string { return example }
