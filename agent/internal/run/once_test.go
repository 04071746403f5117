package run

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
)

// hangingDir is a directory in which syncing a file hangs, if the channel "answer" is set, until this channel is closed.
type hangingDir struct {
	durable.FS
	answer atomic.Pointer[chan struct{}]
}

func (d *hangingDir) Create(name string) (durable.File, error) {
	file, err := d.FS.Create(name)
	return &hangingFile{file, d}, err
}

func (d *hangingDir) Append(name string) (durable.File, error) {
	file, err := d.FS.Append(name)
	return &hangingFile{file, d}, err
}

type hangingFile struct {
	durable.File
	dir *hangingDir
}

func (f *hangingFile) Sync() error {
	if answer := f.dir.answer.Load(); answer != nil {
		<-*answer
	}
	return f.File.Sync()
}

// TestOnceEndsIfDiskHangs checks that a single run ends at its deadline if the disk of the state file hangs, either in the run or after
// it. The job whose state is perhaps lost is named. A batch whose state was not on disk in time is not delivered, and the next process
// delivers it.
func TestOnceEndsIfDiskHangs(t *testing.T) {
	for _, inRun := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			path, answer := filepath.Join(t.TempDir(), "state"), make(chan struct{})
			disk := &hangingDir{FS: durable.NewDir(filepath.Dir(path))}
			file, _, err := state.OpenOn(t.Context(), path, disk, state.Options{Fold: FoldSaved, Log: slog.New(slog.DiscardHandler), Shared: true})
			if err != nil {
				t.Fatal(err)
			}
			source := newScripted(func(context.Context, int) error {
				if inRun {
					disk.answer.Store(&answer)
				}
				return nil
			})
			out := &shelf{judge: func(b metric.Batch) error {
				if !inRun {
					disk.answer.Store(&answer)
				}
				return nil
			}}
			agent := New(Options{Log: slog.New(slog.DiscardHandler), Self: func(State) metric.Readings { return nil }, State: file})
			plan := Plan{Concurrency: 1, Jobs: []Job{planJob(t, "a", "@daily", source)}, Sinks: []Sink{planSink("out", out)}}
			began := time.Now()
			outcome, err := agent.Once(t.Context(), plan, time.Minute)
			file.Close()
			if took := time.Since(began); err != nil || took < 55*time.Second || took > time.Minute+time.Second {
				t.Errorf("in the run: %t: ended after %s, %v, want a minute", inRun, took, err)
			}
			if !slices.Equal(outcome.Unsaved, []string{"a"}) || !strings.Contains(outcome.File.Error, "the disk has not finished within 1m0s") {
				t.Errorf("in the run: %t: unsaved: %q, %q", inRun, outcome.Unsaved, outcome.File.Error)
			}
			if up, delivered := outcome.Jobs[0].Up, len(out.shows()) > 0; up == inRun || delivered == inRun {
				t.Errorf("in the run: %t: up: %t, delivered: %t, error %q", inRun, up, delivered, outcome.Jobs[0].Error)
			}
			close(answer)
			synctest.Wait()

			next, again := New(Options{Log: slog.New(slog.DiscardHandler), Self: func(State) metric.Readings { return nil }}), &shelf{}
			next.state, _ = openFaulty(t, path, slog.New(slog.DiscardHandler))
			defer next.state.Close()
			plan.Sinks = []Sink{planSink("out", again)}
			outcome, err = next.Once(t.Context(), plan, time.Minute)
			if err != nil || len(outcome.Unsaved) > 0 || again.shows()["a"] != 2 {
				t.Errorf("in the run: %t: the next process delivers %v, %v; unsaved: %q", inRun, again.shows(), err, outcome.Unsaved)
			}
		})
	}
}

// TestOnceEndsIfDiskFails checks that a single run ends at its deadline if its state cannot be written. A deadline of 0 is over at once. If
// the disk works again just after the deadline, the state says that the sinks do not have the batch.
func TestOnceEndsIfDiskFails(t *testing.T) {
	for _, drain := range []time.Duration{time.Minute, 0} {
		for _, recovers := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) { onceOnFullDisk(t, drain, recovers) })
		}
	}
}

func onceOnFullDisk(t *testing.T, drain time.Duration, recovers bool) {
	file, disk := openFaulty(t, filepath.Join(t.TempDir(), "state"), slog.New(slog.DiscardHandler))
	defer file.Close()
	disk.set(syscall.ENOSPC)
	agent := New(Options{Log: slog.New(slog.DiscardHandler), State: file, Self: func(State) metric.Readings {
		if recovers {
			disk.set(nil)
		}
		return nil
	}})
	plan := Plan{Concurrency: 1, Jobs: []Job{planJob(t, "a", "@daily", newScripted(nil))}, Sinks: []Sink{planSink("out", &shelf{})}}
	ctx, stop := context.WithTimeout(t.Context(), time.Hour)
	defer stop()
	began := time.Now()
	outcome, err := agent.Once(ctx, plan, drain)
	if took := time.Since(began); err != nil || took < drain || took > drain+5*time.Second || len(outcome.Unsaved) != 1 {
		t.Errorf("ended after %s, %v; unsaved: %q", took, err, outcome.Unsaved)
	}
	if want := fmt.Sprintf("not delivered: the state of the run is not on disk after %s (--deadline): ", drain); !strings.HasPrefix(outcome.Jobs[0].Error, want) {
		t.Errorf("the job says %q, want %q", outcome.Jobs[0].Error, want)
	}
	if !recovers {
		return
	}
	saved, err := file.Latest("a")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := ReadSaved(saved); err != nil || s.Delivered {
		t.Errorf("%v, or the state says that the batch was delivered", err)
	}
}
