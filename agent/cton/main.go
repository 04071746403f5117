// Command cton turns any API into Prometheus metrics and delivers them.
package main

import (
	"os"
	_ "time/tzdata" // time zones, for hosts and containers that have none

	"github.com/collectington/collectington/agent"
)

func main() { os.Exit(agent.Main()) }
