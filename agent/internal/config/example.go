package config

import _ "embed" // the example

//go:embed example.yaml
var example string

// Example returns a configuration with the defaults of all settings, except the settings of kinds.
func Example() string { return example }
