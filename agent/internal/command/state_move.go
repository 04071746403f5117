package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/text"
)

type stateExportCmd struct {
	shardFlag
	Jobs []string `arg:"" optional:"" name:"job" help:"The jobs to export; default with --shard all that belong to other shards."`
}

type stateImportCmd struct {
	shardFlag
	File  string `arg:"" help:"What cton state export has written; - is standard input."`
	Force bool   `help:"Replace the state of a job that has one already."`
}

// Run writes the state of jobs to the output, and marks these jobs in the state file as exported: another agent goes on with their state.
func (c *stateExportCmd) Run(ctx context.Context, a *App, g *globals) error {
	if isTerminal(a.Out) {
		return errors.New("the output is not for a terminal: cton state export JOB > FILE")
	}
	plan, file, err := a.openStateToMove(ctx, g, c.shardFlag)
	if err != nil {
		return err
	}
	defer file.Close()
	jobs := c.Jobs
	if len(jobs) == 0 && plan.Shard.Count == 0 {
		return errors.New("name the jobs to export: cton state export JOB… > FILE")
	}
	sections, _, err := state.Read(a.stateFile(plan))
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		jobs = slices.DeleteFunc(jobNames(sections), plan.Shard.Has)
	}
	unlock, err := lockJobs(file, jobs)
	if err != nil {
		return err
	}
	defer unlock()
	there, here := map[string]state.Section{}, map[string][]byte{}
	for _, job := range jobs {
		records, err := file.Records(job)
		if err != nil {
			return err
		}
		if records == nil {
			return noSuch("saved job", job, jobNames(sections))
		}
		saved, err := run.ReadSaved(records)
		if err != nil {
			return fmt.Errorf("the state of job %s: %w", job, err)
		}
		if saved.Exported && len(c.Jobs) == 0 { // the job was exported before: its new agent has a newer state
			continue
		}
		moved, left, err := saved.Moved()
		if err != nil {
			return fmt.Errorf("the state of job %s: %w", job, err)
		}
		there[job] = state.Section{Saved: saved.LastSuccess, Records: [][]byte{moved}}
		here[job] = left
	}
	if err := a.writeExport(there); err != nil {
		return err
	}
	if err := appendAll(file, here); err != nil {
		return err
	}
	fmt.Fprintln(a.Err, exported(slices.Sorted(maps.Keys(there))))
	return nil
}

// exported returns which jobs were exported, as text.
func exported(jobs []string) string {
	if len(jobs) == 0 {
		return "exported no job: all jobs of other shards in the state file were exported before, or there are none"
	}
	return fmt.Sprintf("exported %s: %s", text.Count(len(jobs), "job"), named(jobs))
}

// writeExport writes sections to the output in the format of a state file.
func (a *App) writeExport(sections map[string]state.Section) error {
	all, err := state.Encode(sections)
	if err != nil {
		return err
	}
	if _, err := a.Out.Write(all); err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	if f, is := a.Out.(*os.File); is {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			if err := f.Sync(); err != nil {
				return fmt.Errorf("write the export: %w", err)
			}
		}
	}
	return nil
}

// Run adds the state of exported jobs to the state file.
func (c *stateImportCmd) Run(ctx context.Context, a *App, g *globals) error {
	sections, err := c.read(a)
	if err != nil {
		return err
	}
	plan, file, err := a.openStateToMove(ctx, g, c.shardFlag)
	if err != nil {
		return err
	}
	defer file.Close()
	var jobs, others []string
	for _, job := range slices.Sorted(maps.Keys(sections)) {
		if plan.Shard.Has(job) {
			jobs = append(jobs, job)
		} else {
			others = append(others, job)
		}
	}
	unlock, err := lockJobs(file, jobs)
	if err != nil {
		return err
	}
	defer unlock()
	records, lines := map[string][]byte{}, ""
	for _, job := range jobs {
		saved, err := c.check(plan, file, job, sections[job].Records)
		if err != nil {
			return err
		}
		if records[job], _, err = saved.Moved(); err != nil {
			return fmt.Errorf("%s: the state of job %s: %w", c.File, job, err)
		}
		lines += fmt.Sprintf("imported %s: last success %s\n", job, saved.LastSuccess.Format(time.RFC3339))
	}
	if err := appendAll(file, records); err != nil {
		return err
	}
	if len(others) > 0 {
		lines += fmt.Sprintf("not imported: %s of other shards: %s\n", text.Count(len(others), "job"), named(others))
	}
	fmt.Fprint(a.Out, lines)
	return nil
}

// maxExport is the maximum size of an export to import, in bytes.
const maxExport = 1 << 30

// read reads an export and returns the sections of jobs.
func (c *stateImportCmd) read(a *App) (map[string]state.Section, error) {
	in := a.In
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	all, err := io.ReadAll(io.LimitReader(in, maxExport+1))
	if err == nil && len(all) > maxExport {
		err = fmt.Errorf("it is larger than %d bytes", maxExport)
	}
	var sections map[string]state.Section
	if err == nil {
		sections, err = state.Decode(all)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", c.File, err)
	}
	maps.DeleteFunc(sections, func(name string, _ state.Section) bool { return !run.IsJob(name) }) // other sections are not of jobs
	return sections, nil
}

// check returns the state to import for a job, or an error that says why it cannot be imported.
func (c *stateImportCmd) check(plan *config.Plan, file *state.File, job string, records [][]byte) (*run.Saved, error) {
	saved, err := run.ReadSaved(records)
	if err == nil {
		_, err = saved.Ledger()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: the state of job %s: %w", c.File, job, err)
	}
	i := slices.IndexFunc(plan.Jobs, func(j config.Job) bool { return j.Name == job })
	if i < 0 {
		return nil, noSuch("job", job, namesOfJobs(plan))
	}
	if !saved.IsOf(&plan.Jobs[i]) {
		return nil, fmt.Errorf("jobs.%s: it fetches something else than the job that was exported, so it would start from zero: make both the same first", job)
	}
	before, err := file.Records(job)
	if err != nil {
		return nil, err
	}
	if before == nil || c.Force {
		return saved, nil
	}
	if old, err := run.ReadSaved(before); err != nil || !old.Exported {
		when := ""
		if err == nil {
			when = ", last success " + old.LastSuccess.Format(time.RFC3339)
		}
		return nil, fmt.Errorf("jobs.%s: it has state already%s; --force replaces it", job, when)
	}
	return saved, nil
}

// openStateToMove opens the state file of a configuration. It can do so while agents that share the file run.
func (a *App) openStateToMove(ctx context.Context, g *globals, f shardFlag) (*config.Plan, *state.File, error) {
	plan, err := a.load(g, "")
	if err != nil {
		return nil, nil, err
	}
	if err := f.keep(plan); err != nil {
		return nil, nil, err
	}
	file, err := a.openState(ctx, plan, false, true)
	if err == nil && file == nil {
		err = errors.New("no state is kept: the configuration has no state_file")
	}
	return plan, file, err
}

// lockJobs locks jobs and reads the state file again. It does not wait: it returns an error if another process runs one of the jobs.
func lockJobs(file *state.File, jobs []string) (unlock func(), err error) {
	var locked []func()
	unlock = func() {
		for _, f := range locked {
			f()
		}
	}
	now, end := context.WithCancel(context.Background())
	end()
	for _, job := range jobs {
		one, err := file.LockJob(now, job)
		if state.IsHeld(err) {
			err = &exitError{exitDelivery, fmt.Errorf("job %s is %w: stop that process first, or take the job out of its configuration", job, err)}
		}
		if err != nil {
			unlock()
			return nil, err
		}
		locked = append(locked, one)
	}
	if err := file.Reread(); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// appendAll appends one record for each job to a state file, and waits until all records are on disk.
func appendAll(file *state.File, records map[string][]byte) error {
	for _, job := range slices.Sorted(maps.Keys(records)) {
		file.Append(job, records[job])
	}
	file.Flush()
	if why := file.Status().Error; why != "" {
		return &exitError{exitDelivery, errors.New(why)}
	}
	return nil
}
