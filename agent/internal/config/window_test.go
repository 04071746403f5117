package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/config"
)

// TestWindowDefaults checks that an outage of a day loses no window on any schedule, and that zero is a valid setting.
func TestWindowDefaults(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]struct{ settle, catchUp, upTo time.Duration }{
		`schedule: "@every 60s", window: {length: 5m}`:                              {time.Minute, day + time.Minute, day + time.Minute},
		`schedule: "@every 240h", window: {length: 1h}`:                             {time.Minute, 11 * day, 11 * day},
		`schedule: "0 9 * * 1-5", window: {length: 1h}`:                             {time.Minute, 4 * day, 5 * day},
		`schedule: "@monthly", window: {length: 1d}`:                                {time.Minute, 32 * day, 33 * day},
		`schedule: "@hourly", window: {length: 1h, settle: 0s, max_catch_up: 0s}`:   {0, 0, 0},
		`schedule: "@hourly", window: {length: 1h, settle: 5m, max_catch_up: 400d}`: {5 * time.Minute, 400 * day, 400 * day},
	} {
		file := "sinks: {page: {expose: {}}}\njobs: {a: {JOB, http: {url: 'http://a.example/{{ .Now }}'}, metrics: {a: {type: gauge, value: .a}}}}"
		plan, err := config.Load("cton.yaml", []byte(strings.Replace(file, "JOB", text, 1)), agent.Catalogue())
		if err != nil {
			t.Fatal(err)
		}
		w := plan.Jobs[0].Windows
		if w.Settle != want.settle || w.MaxCatchUp < want.catchUp || w.MaxCatchUp > want.upTo {
			t.Errorf("%s: settle %s, max_catch_up %s; want %+v", text, w.Settle, w.MaxCatchUp, want)
		}
	}
}
