// Command oncall is cton with one more kind of source: Splunk On-Call's incidents, measured in Go.
package main

import (
	"os"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/sources/class"
)

func main() { os.Exit(agent.Main(class.Kind("SplunkApi", splunkAPI()))) }
