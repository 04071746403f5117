// Compare measures cton and other programs that do the same work, on one machine, in one run. It measures CPU time, memory, bytes on
// the wire, and the samples that are lost when the receiver is unreachable or the program is killed. Start it with make compare.
//
// Compare itself serves the API and the exporter and is the receiver, on the loopback interface. Programs take turns, so that a
// change of the machine's speed affects all of them. Compare prints tables in Markdown, and writes every single result, the tables
// and a chart to a directory.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags of the command; see main for their meaning.
type options struct {
	cton, before, out string
	only, programs    string
	runs, records     int
	rounds            int
	interval, away    time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.cton, "cton", "bin/cton", "the binary of cton")
	flag.StringVar(&o.before, "before", "", "an earlier binary of cton, to compare with")
	flag.StringVar(&o.out, "out", "bin/compare", "directory for the results")
	flag.StringVar(&o.only, "only", "", "workloads, separated by commas; default all")
	flag.StringVar(&o.programs, "programs", "", "programs, separated by commas; default all that are found")
	flag.IntVar(&o.runs, "runs", 3, "how often each program does each workload")
	flag.IntVar(&o.records, "records", 10_000, "records of the API; each has three samples")
	flag.IntVar(&o.rounds, "rounds", 6, "rounds that are measured")
	flag.DurationVar(&o.interval, "interval", 5*time.Second, "from round to round, in whole seconds")
	flag.DurationVar(&o.away, "away", time.Minute, "how long the receiver is away")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := compare(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func compare(ctx context.Context, o options) (err error) {
	if o.interval < time.Second || o.interval%time.Second != 0 || o.runs < 1 || o.records < 1 || o.rounds < 1 {
		return errors.New("-interval must be whole seconds, -runs, -records and -rounds at least 1")
	}
	for _, path := range []*string{&o.cton, &o.before} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
		if _, err := os.Stat(*path); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{
		ctx: ctx, generator: &generator{}, receiver: &receiver{}, dir: dir,
		records: o.records, interval: o.interval, rounds: o.rounds, away: o.away,
	}
	mux := http.NewServeMux()
	mux.Handle("GET /{shape}/{form}", b.generator)
	api := httptest.NewServer(mux)
	defer api.Close()
	b.api = api.URL
	if err := b.receiver.open(); err != nil {
		return err
	}
	defer b.receiver.close()
	all, failed := measureAll(b, o)
	return errors.Join(report(o, all), failed)
}

// measureAll measures every program with every workload. The programs take turns.
func measureAll(b *bench, o options) (all []result, failed error) {
	for _, w := range workloads() {
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), w.name) {
			continue
		}
		for run := range o.runs {
			for _, p := range programs(w.kind, o.cton, o.before) {
				if o.programs != "" && !slices.Contains(strings.Split(o.programs, ","), p.name) {
					continue
				}
				if b.ctx.Err() != nil {
					return all, b.ctx.Err()
				}
				got, err := w.run(b, p, w)
				if err != nil {
					failed = errors.Join(failed, fmt.Errorf("%s, %s: %w", w.name, p.name, err))
					fmt.Fprintf(os.Stderr, "%s, %s: %v\n", w.name, p.name, err)
					continue
				}
				got.Workload, got.Program = w.name, p.name
				all = append(all, got)
				fmt.Fprintf(os.Stderr, "%s, %s, run %d: %.2f CPU s a million samples, %.1f MiB, %d samples, %d lost\n",
					w.name, p.name, run+1, got.CPU, got.Memory, got.Samples, got.Lost)
			}
		}
	}
	return all, failed
}

// report prints the tables, and writes the tables, the chart and all single results to the output directory.
func report(o options, all []result) error {
	if len(all) == 0 {
		return errors.New("nothing was measured")
	}
	caption := fmt.Sprintf("%s, %d cores, %s, %d records a round. %s", time.Now().Format(time.DateOnly), runtime.NumCPU(), runtime.GOARCH, o.records,
		strings.Join(versions(all, o), ", "))
	fmt.Printf("%s.\nMedians (least–most) of runs in turn.\n", caption)
	if err := writeTables(os.Stdout, all); err != nil {
		return err
	}
	tables, err := os.Create(filepath.Join(o.out, "compare.md"))
	if err != nil {
		return err
	}
	fmt.Fprintf(tables, "%s.\nMedians (least–most) of runs in turn.\n", caption)
	err = errors.Join(writeTables(tables, all), tables.Close())
	chart, e := os.Create(filepath.Join(o.out, "compare.svg"))
	if e != nil {
		return errors.Join(err, e)
	}
	err = errors.Join(err, writeChart(chart, all, caption), chart.Close())
	var lines []byte
	for _, r := range all {
		line, e := json.Marshal(r)
		err = errors.Join(err, e)
		lines = append(append(lines, line...), '\n')
	}
	return errors.Join(err, os.WriteFile(filepath.Join(o.out, "compare.jsonl"), lines, 0o644))
}

// versions returns the name of each measured program with the version that the program prints.
func versions(all []result, o options) (list []string) {
	for _, p := range slices.Concat(programs("once", o.cton, o.before), programs("scrape", o.cton, "")) {
		used := slices.ContainsFunc(all, func(r result) bool { return r.Program == p.name })
		if !used || slices.ContainsFunc(list, func(s string) bool { return strings.HasPrefix(s, p.name+": ") }) {
			continue
		}
		for _, ask := range []string{"version", "--version", "-version"} {
			out, err := exec.Command(p.argv[0], ask).CombinedOutput()
			if line, _, _ := strings.Cut(string(out), "\n"); err == nil && line != "" {
				list = append(list, p.name+": "+strings.TrimPrefix(line, p.name+" "))
				break
			}
		}
	}
	return list
}
