package command

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/legacy"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/wrap"
	"github.com/collectington/collectington/agent/metric"
)

// delivery is where the metrics of a command are delivered.
type delivery struct {
	plan   *config.Plan // a plan with the sinks; nil = nothing is delivered
	outbox *run.Outbox  // nil = not started
}

// buildSinks reads where to deliver. A mistake in the flags or the configuration does not prevent the command from running: the
// mistake is shown, and nothing is delivered.
func (e *execution) buildSinks(g *globals) delivery {
	plan, err := e.sinkPlan(g)
	if err == nil {
		_, err = e.build(plan, e.name)
	}
	if err != nil {
		e.complain(err)
		e.log.Error("nothing is delivered of this run", "job", e.name)
		return delivery{}
	}
	return delivery{plan: plan}
}

// sinkPlan returns a plan with the sinks of the configuration and the sinks of the flags.
func (e *execution) sinkPlan(g *globals) (*config.Plan, error) {
	plan := &config.Plan{External: map[string]string{}}
	if g.Named {
		file, err := e.parse(g.Config)
		if err != nil {
			return nil, err
		}
		if legacy.Is(file) {
			plan, err = e.load(g, "")
		} else {
			plan, err = file.Sinks(e.Catalogue)
		}
		if err != nil {
			return nil, err
		}
		paths := make([]string, len(g.Config))
		for i, path := range g.Config {
			if paths[i], err = filepath.Abs(path); err != nil {
				return nil, err
			}
		}
		for i := range plan.Sinks {
			plan.Sinks[i].Key = strings.Join(paths, "\n") // so the sink keeps its queue when its settings change
		}
	}
	for _, flag := range []struct{ name, kind, url string }{
		{"--pushgateway", "pushgateway", e.Pushgateway}, {"--remote-write", "remote_write", e.RemoteWrite},
	} {
		if flag.url == "" {
			continue
		}
		sink, err := e.sinkOf(flag.kind, flag.url)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag.name, err)
		}
		sink.Key = flag.url
		plan.Sinks = append(plan.Sinks, sink)
	}
	plan.Sinks = slices.DeleteFunc(plan.Sinks, func(s config.Sink) bool { return s.Kind.Pull })
	if plan.External == nil {
		plan.External = map[string]string{}
	}
	maps.Copy(plan.External, e.Label)
	switch {
	case len(plan.Sinks) == 0:
		return nil, errors.New("exec: no sink to deliver to: set --pushgateway or --remote-write, or name a configuration with a sink that pushes: -c FILE")
	case slices.ContainsFunc(plan.Jobs, func(j config.Job) bool { return j.Name == e.name }):
		return nil, fmt.Errorf("exec: the configuration has a job %s, whose series would be replaced: choose another name", e.name)
	}
	return plan, nil
}

// sinkOf returns the sink that a flag describes. It parses a configuration that has only this sink.
func (e *execution) sinkOf(kind, url string) (config.Sink, error) {
	text, err := json.Marshal(map[string]any{"sinks": map[string]any{kind: map[string]any{kind: map[string]any{"url": url}}}})
	if err != nil {
		return config.Sink{}, err
	}
	file, err := config.Parse("the command line", text)
	if err != nil {
		return config.Sink{}, err
	}
	plan, err := file.Sinks(e.Catalogue)
	if problems, ok := errors.AsType[config.Problems](err); ok {
		return config.Sink{}, errors.New(problems[0].Text)
	}
	if err != nil {
		return config.Sink{}, err
	}
	return plan.Sinks[0], nil
}

// build builds the sinks. name is the name of the command, which determines the directories of their queues.
func (e *execution) build(plan *config.Plan, name string) ([]run.Sink, error) {
	b := &assembly{
		App: e.App, drain: time.Duration(e.Deadline), unready: func(string, error) {}, instance: e.Instance,
		spool: func(s config.Sink) string { return e.spool(s, name) },
	}
	built, err := b.build(plan)
	return built.Sinks, err
}

// spool returns the directory of a sink's queue for the named command, "" if there is none.
func (e *execution) spool(s config.Sink, name string) string {
	if e.dir == "" {
		return ""
	}
	return filepath.Join(e.spools(s), durable.FileName(name))
}

// spools returns the directory that contains the queues of all commands for a sink.
func (e *execution) spools(s config.Sink) string {
	sum := sha256.Sum256([]byte(s.Key))
	return filepath.Join(e.dir, "spool", s.Name+"-"+hex.EncodeToString(sum[:6]))
}

// open returns the outbox. It starts the sinks if they are not started.
func (e *execution) open() *run.Outbox {
	if e.sinks.outbox == nil && e.sinks.plan != nil {
		built, err := e.build(e.sinks.plan, e.name)
		if err != nil {
			e.complain(err)
		}
		e.sinks.outbox = run.NewOutbox(built, time.Duration(e.Deadline))
	}
	return e.sinks.outbox
}

// beat delivers the metric that says that the command is running: at the start, and then in each interval until the result "stop" is called.
func (e *execution) beat() (stop func()) {
	if e.Heartbeat <= 0 || e.sinks.plan == nil {
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			own, _ := e.families(nil)
			e.open().Add(e.batch(own, true))
			select {
			case <-quit:
				return
			case <-time.After(time.Duration(e.Heartbeat)):
			}
		}
	}()
	return func() { close(quit); <-done }
}

func (e *execution) batch(families []metric.Family, partial bool) metric.Batch {
	now := time.Now()
	e.keep(func(h *wrap.History) (err error) { now, err = h.Stamp(now); return err })
	return metric.Batch{Job: e.name, Time: now, Families: families, Partial: partial}
}

// deliver delivers the metrics of the runs, and then the waiting batches of other commands. If the run failed or was skipped, the
// batch is partial: the receiver keeps the metrics that the batch does not contain, such as those that the last successful run wrote.
func (e *execution) deliver(o *outcome) {
	if e.sinks.plan == nil {
		return
	}
	own, commands := e.families(o)
	partial := o == nil || o.Code != 0
	e.open().Add(e.batch(slices.Concat(own, commands), partial))
	refused := e.sinks.outbox.Close()
	e.sinks.outbox = nil
	if refused && len(commands) > 0 {
		// The receiver may have refused the batch because of the command's metrics. So deliver again without these metrics. Only the first
		// one stays in the batch: it says whether the metrics could be read.
		own = append(own, metric.Family{Desc: commands[0].Desc, Series: []metric.Series{{Labels: commands[0].Series[0].Labels}}})
		e.open().Add(e.batch(own, true))
		e.sinks.outbox.Close()
	}
	e.deliverOthers()
}

// maxOthers is the maximum number of other commands' queues that one run delivers.
const maxOthers = 20

// deliverOthers delivers what waits in the queues of other commands.
func (e *execution) deliverOthers() {
	if e.dir == "" {
		return
	}
	end := time.Now().Add(time.Duration(e.Deadline))
	n := 0
	for _, s := range e.sinks.plan.Sinks {
		if s.Kind.SpoolDir != nil && s.Kind.SpoolDir(s.Config) != "" {
			continue // all commands share the queue of this sink
		}
		folders, err := os.ReadDir(e.spools(s))
		if err != nil {
			continue // no command has a queue for this sink yet
		}
		for _, folder := range folders {
			dir := filepath.Join(e.spools(s), folder.Name())
			if folder.Name() == durable.FileName(e.name) || !waits(dir) || n == maxOthers || time.Now().After(end) {
				continue
			}
			n++
			b := &assembly{App: e.App, drain: time.Duration(e.Deadline), unready: func(string, error) {}, instance: e.Instance, spool: func(config.Sink) string { return dir }}
			built, err := b.build(&config.Plan{External: e.sinks.plan.External, Auth: e.sinks.plan.Auth, Sinks: []config.Sink{s}})
			if err == nil {
				run.NewOutbox(built.Sinks, time.Until(end)).Close()
			}
		}
	}
}

// waits reports whether something waits in a queue that no other process uses.
func waits(path string) bool {
	dir := durable.NewDir(path)
	names, err := dir.ReadDir(".")
	if err != nil || !slices.ContainsFunc(names, func(name string) bool { return name != "lock" }) || dir.Lock("lock") != nil {
		return false
	}
	return dir.Unlock() == nil
}
