package config

import _ "embed" // the example

//go:embed example.yaml
var example string

// Example returns a configuration with every setting that does not belong to a kind, at its default.
func Example() string { return example }
