package command

import (
	"fmt"
	"slices"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/metric"
)

// problems is what could not be measured, a line for each.
func problems(r *ledger.Result) []string {
	var lines []string
	for _, p := range r.Problems {
		lines = append(lines, fmt.Sprintf("%s: %v", p.Metric, p.Err))
	}
	for _, d := range r.Drops {
		if d.Reason == metric.NotNewer {
			continue // the API shows its past again
		}
		line := fmt.Sprintf("%s: %s left out, %s: %s", d.Metric, count(d.Count, "reading"), d.Reason, d.First)
		if d.Reason == metric.Skipped { // the same for all metrics
			line = fmt.Sprintf("%s skipped, the first: %s", count(d.Count, "item"), d.First)
		}
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}
