// Command plugin is cton with two additional kinds: a fetcher of environment variables, and a sink that writes files.
package main

import (
	"os"

	"example.com/plugin/environment"
	"example.com/plugin/textfile"
	"github.com/collectington/collectington/agent"
)

func main() { os.Exit(agent.Main(environment.Kind, textfile.Kind)) }
