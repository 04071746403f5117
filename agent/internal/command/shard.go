package command

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/shard"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/text"
)

// shardFlag is the flag --shard, which limits a command to the jobs of one shard.
type shardFlag struct {
	Shard string `env:"CTON_SHARD" help:"Only the jobs of this shard, such as 2/5, counted from 1; ordinal/5 takes the number at the end of the host's name, counted from 0, as pods of a StatefulSet have it." placeholder:"N/COUNT"`
}

// keep removes the jobs of other shards from a plan.
func (f shardFlag) keep(plan *config.Plan) error {
	if f.Shard == "" {
		return nil
	}
	s, err := shard.Parse(f.Shard, hostName())
	if err != nil {
		return fmt.Errorf("--shard: %w", err)
	}
	plan.Keep(s)
	return nil
}

// maxNamed is the maximum number of jobs that a message names.
const maxNamed = 20

// named returns a list of names for a message. After maxNamed names it says how many more there are.
func named(names []string) string {
	return text.List(names, maxNamed)
}

// logShard logs the plan's shard. If the state file says that the previous process ran another shard, logShard does two more things: it
// logs which jobs have left this shard and which have come, and it stores the new shard.
func (a *App) logShard(plan *config.Plan, file *state.File) {
	s := plan.Shard
	if s.Count == 0 {
		return
	}
	a.log.Info("running a shard", "shard", s.String(), "jobs", len(plan.Jobs), "of", len(plan.Jobs)+len(plan.Elsewhere))
	if file == nil {
		return
	}
	before, err := run.LoadShard(file, s)
	if err != nil {
		a.log.Warn("the state file does not say which shard used it before, so moved jobs are not listed", "error", err)
	}
	if before == s {
		return
	}
	run.StoreShard(file, s)
	if before.Count == 0 {
		return
	}
	kept, all := []string(nil), namesOfJobs(plan)
	for _, j := range plan.Elsewhere {
		all = append(all, j.Name)
	}
	left, came := shard.Moves(all, before, s)
	for _, m := range left {
		if records, err := file.Records(m.Job); err != nil || records != nil {
			kept = append(kept, m.Job)
		}
	}
	a.log.Warn("the number of shards has changed, and jobs have moved", "from", before.String(), "to", s.String(), "left", moved(left), "came", moved(came))
	if len(kept) > 0 {
		a.log.Warn("this state file still has the totals of jobs that have moved to another shard: move them with cton state export and cton state import, unless both shards use the same file",
			"jobs", named(kept))
	}
}

// moved returns a text with the names of jobs that have moved, grouped by the shard that they have gone to or come from.
func moved(moves []shard.Move) string {
	by := map[int][]string{}
	for _, m := range moves {
		by[m.To] = append(by[m.To], m.Job)
	}
	var parts []string
	for _, to := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("shard %d: %s", to, named(by[to])))
	}
	if len(parts) == 0 {
		return "none"
	}
	return text.Count(len(moves), "job") + ", " + strings.Join(parts, "; ")
}
