package agent_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/sources/compute/goclass"
)

// A program of your own has a function main that passes a class to Main. Here it would be
//
//	func main() { os.Exit(agent.Main(goclass.Kind("Garden", garden()))) }
//
// In the configuration of this program, a job can have a section Garden in place of metrics or script.
func ExampleMain() {
	const config = `
sinks: {out: {print: {}}}
jobs:
  garden:
    schedule: "@hourly"
    Garden:
      settings: {plants: [fern, moss]}
      metrics:
        plants_watered: {type: gauge, help: Plants watered in this hour., labels: [plant]}
`
	watered := func(_ context.Context, t *goclass.Tick) ([]goclass.Reading, error) {
		var all []goclass.Reading
		for i, plant := range t.Settings["plants"].([]any) {
			all = append(all, goclass.Reading{Value: float64(i + 1), Labels: map[string]string{"plant": plant.(string)}})
		}
		return all, nil
	}
	file := filepath.Join(os.TempDir(), fmt.Sprintf("garden-%d.yaml", os.Getpid()))
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		fmt.Println(err)
	}
	defer os.Remove(file)
	args := os.Args
	defer func() { os.Args = args }()
	os.Args = []string{"garden", "try", "garden", "-c", file} // what a shell would give

	code := agent.Main(goclass.Kind("Garden", goclass.Methods{"plants_watered": {Measure: watered}}))
	fmt.Println("exit code", code)
	// Output:
	// == readings
	// plants_watered: 2 readings
	//   plants_watered{plant="fern"} 1
	//   plants_watered{plant="moss"} 2
	// == ledger before
	// (empty)
	// == ledger after
	// plants_watered{plant="fern"} 1
	// plants_watered{plant="moss"} 2
	// == metrics
	// # HELP plants_watered Plants watered in this hour.
	// # TYPE plants_watered gauge
	// plants_watered{plant="fern"} 1
	// plants_watered{plant="moss"} 2
	// exit code 0
}
