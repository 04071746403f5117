// Command oncall is cton with one more kind of source: Splunk On-Call's incidents, measured in Go.
package main

import (
	"os"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/sources/compute/goclass"
)

func main() { os.Exit(agent.Main(goclass.Kind("SplunkApi", splunkAPI()))) }
