// Command oncall is cton with an additional kind of source, which measures Splunk On-Call's incidents and is written in Go.
package main

import (
	"os"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/sources/compute/goclass"
)

func main() { os.Exit(agent.Main(goclass.Kind("SplunkApi", splunkAPI()))) }
