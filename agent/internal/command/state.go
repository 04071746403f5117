package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/text"
)

type stateCmd struct {
	Show   stateShowCmd   `cmd:"" help:"Show the saved state of each job. Works while an agent is running."`
	Export stateExportCmd `cmd:"" help:"Write the state of jobs to the output, to continue elsewhere: cton state export JOB > FILE. Here they start from zero if they run again."`
	Import stateImportCmd `cmd:"" help:"Add the state of exported jobs to the state file, before an agent runs them: cton state import FILE."`
}

type stateShowCmd struct {
	Job  string `arg:"" optional:"" help:"The job to show; default all."`
	JSON bool   `name:"json" help:"As JSON."`
}

// savedJob is the saved state of a job as it is shown.
type savedJob struct {
	Job         string           `json:"job"`
	LastSuccess time.Time        `json:"last_success"`
	Cursor      time.Time        `json:"cursor,omitzero"` // the end of the last window that was read; zero = the job has no windows
	Saved       time.Time        `json:"saved"`
	Exported    bool             `json:"exported,omitempty"` // the state was exported, so another agent goes on with the job
	Metrics     []ledger.Holding `json:"metrics"`
}

// Run shows the saved state of jobs.
func (c *stateShowCmd) Run(a *App, g *globals) error {
	plan, err := a.load(g, "")
	if err != nil {
		return err
	}
	path := a.stateFile(plan)
	if path == "" {
		return errors.New("no state is kept: set state_file in the configuration to keep it")
	}
	sections, damage, err := state.Read(path)
	if err != nil {
		return err
	}
	jobs := []savedJob{}
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		if c.Job != "" && c.Job != name || !run.IsJob(name) {
			continue
		}
		j, err := readJob(name, sections[name])
		if err != nil {
			damage[name] = err
			continue
		}
		jobs = append(jobs, j)
	}
	if c.Job != "" && len(jobs) == 0 && damage[c.Job] == nil {
		return fmt.Errorf("%s: %w", path, noSuch("saved job", c.Job, jobNames(sections)))
	}
	if err := showJobs(scrubber{a.Out, a.vault}, jobs, c.JSON); err != nil {
		return err
	}
	var bad []error
	for _, name := range slices.Sorted(maps.Keys(damage)) {
		bad = append(bad, fmt.Errorf("the state of job %s: %w", name, damage[name]))
	}
	return errors.Join(bad...)
}

// jobNames returns the names of the jobs in a state file.
func jobNames(sections map[string]state.Section) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(sections)), func(name string) bool { return !run.IsJob(name) })
}

func readJob(name string, section state.Section) (savedJob, error) {
	saved, err := run.ReadSaved(section.Records)
	if err != nil {
		return savedJob{}, err
	}
	l, err := saved.Ledger()
	if err != nil {
		return savedJob{}, err
	}
	return savedJob{name, saved.LastSuccess, saved.Cursor, section.Saved, saved.Exported, l.Holdings()}, nil
}

func showJobs(w io.Writer, jobs []savedJob, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(jobs)
	}
	for i, j := range jobs {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s: last success %s", j.Job, j.LastSuccess.Format(time.RFC3339))
		if !j.Cursor.IsZero() {
			fmt.Fprintf(w, ", windows read up to %s", j.Cursor.Format(time.RFC3339))
		}
		if j.Exported {
			fmt.Fprint(w, ", exported")
		}
		fmt.Fprintln(w)
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, m := range j.Metrics {
			fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", m.Metric, m.Type, fmt.Sprintf("%d series", m.Series), text.Count(m.Events, "event id"))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}
