package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// workload is one kind of work for which programs are compared.
type workload struct {
	name  string
	title string
	kind  string // kind of the programs, see programs
	shape string // name of the records' shape, see shapes
	run   func(*bench, program, workload) (result, error)
}

func workloads() []workload {
	return []workload{
		{"api", "JSON API → remote-write", "api", "flat", (*bench).push},
		{"api-deep", "JSON API → remote-write, deep records", "api", "deep", (*bench).push},
		{"scrape", "exporter → remote-write, in memory", "scrape", "flat", (*bench).push},
		{"scrape-disk", "exporter → remote-write, through the disk", "scrape-disk", "flat", (*bench).push},
		{"page", "JSON API → page, scraped once a round", "page", "flat", (*bench).page},
		{"once", "start, one record, delivered, end", "once", "flat", (*bench).once},
		{"outage", "receiver away", "scrape-disk", "flat", (*bench).outage},
		{"kill", "receiver away, kill -9 in the middle", "scrape-disk", "flat", (*bench).kill},
	}
}

// bench is what all measurements share.
type bench struct {
	ctx       context.Context
	generator *generator
	api       string // base URL of the generator
	receiver  *receiver
	dir       string        // directory for the programs' files
	records   int           // number of records of the API
	interval  time.Duration // from round to round
	rounds    int           // number of rounds that are measured
	away      time.Duration // how long the receiver is unreachable
}

// result is the result of one measurement. Fields that a workload does not measure are 0.
type result struct {
	Workload, Program string

	CPU         float64 // CPU seconds per million samples
	Memory      float64 // largest resident memory in MiB, including the start
	Bytes       float64 // bytes of request bodies, or of the page, per sample
	Start       float64 // seconds from the start to the first sample
	Wall        float64 // seconds from the start to the end, for a program that ends by itself
	RunCPU      float64 // CPU seconds of the whole run, for a program that ends by itself
	Binary      float64 // size of the binary in MiB
	Samples     int64
	Lost, Twice int64   // number of samples that were lost, and number of samples that arrived more than once
	Noise       float64 // CPU seconds that everything else on the machine and its host used during the measurement
}

// runner runs one program in a measurement.
type runner struct {
	*bench
	place     place
	argv      []string
	processes []*process
	began     time.Time
}

// prepare makes a working directory for a program and writes the program's files to it.
func (b *bench) prepare(p program, w workload, records int) (*runner, error) {
	work, err := os.MkdirTemp(b.dir, strings.ReplaceAll(p.name, " ", "-")+"-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	r := &runner{bench: b, place: place{
		Work: work, N: records, Interval: int(b.interval / time.Second), Port: port, Shape: w.shape,
		Records:     fmt.Sprintf("%s/%s/records?n=%d", b.api, w.shape, records),
		Metrics:     fmt.Sprintf("%s/%s/metrics?n=%d", b.api, w.shape, records),
		MetricsHost: strings.TrimPrefix(b.api, "http://"),
		Write:       "http://" + b.receiver.address + "/api/v1/write",
	}}
	r.argv, err = p.prepare(r.place)
	return r, err
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

func (r *runner) start() error {
	r.began = time.Now()
	p, err := start(r.place.Work, filepath.Join(r.place.Work, "log"), r.argv)
	if err == nil {
		r.processes = []*process{p}
	}
	return err
}

func (r *runner) stop(by syscall.Signal) {
	for _, p := range r.processes {
		p.stop(by)
	}
}

// fail returns an error with the end of the program's log.
func (r *runner) fail(what string) error {
	return fmt.Errorf("%s; the program wrote: %s", what, r.processes[0].tail())
}

// snapshot is the values of all counters at one moment.
type snapshot struct {
	cpu, busy, stolen, own time.Duration
	counts                 counts
}

func (r *runner) snapshot() (s snapshot, err error) {
	s.cpu, err = cpu(r.processes)
	s.busy, s.stolen = busy()
	s.own, s.counts = own(), r.receiver.snapshot()
	return s, err
}

// fill sets the fields of a result that are the same for all kinds of measurements, from the snapshots at the beginning and the end.
func (r *runner) fill(into *result, from, to snapshot, samples int64) {
	used := to.cpu - from.cpu
	into.Samples = samples
	into.CPU = used.Seconds() / float64(samples) * 1e6
	into.Memory = float64(largestMemory(r.processes)) / (1 << 20)
	into.Binary = float64(size(r.argv[:1])) / (1 << 20)
	into.Noise = (to.busy - from.busy - used - (to.own - from.own) + to.stolen - from.stolen).Seconds()
}

// limit returns a context that ends after a minute and the given number of intervals.
func (b *bench) limit(intervals int) (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, time.Minute+time.Duration(intervals)*b.interval)
}

// push measures a program that sends to the receiver. The measurement takes whole rounds. Two more rounds before the measurement are for
// warming up.
func (b *bench) push(p program, w workload) (got result, err error) {
	r, err := b.prepare(p, w, b.records)
	if err != nil {
		return got, err
	}
	b.receiver.reset(false)
	if err := r.start(); err != nil {
		return got, err
	}
	defer r.stop(syscall.SIGTERM)
	ctx, cancel := b.limit(4)
	defer cancel()
	round := int64(len(fields) * b.records)
	if !b.receiver.wait(ctx, func(c counts) bool { return c.samples >= 2*round || !r.processes[0].isRunning() }) || !r.processes[0].isRunning() {
		return got, r.fail("no two rounds of samples arrived")
	}
	if err := b.sleep(b.interval / 2); err != nil { // do not measure from the start of a round, when the program is busy
		return got, err
	}
	from, err := r.snapshot()
	if err != nil {
		return got, err
	}
	if err := b.sleep(time.Duration(b.rounds) * b.interval); err != nil {
		return got, err
	}
	to, err := r.snapshot()
	if err != nil {
		return got, err
	}
	samples := to.counts.samples - from.counts.samples
	if samples == 0 || to.counts.failures > 0 {
		return got, r.fail(fmt.Sprintf("%d samples arrived, %d requests could not be read", samples, to.counts.failures))
	}
	r.fill(&got, from, to, samples)
	got.Bytes = float64(to.counts.bytes-from.counts.bytes) / float64(to.counts.all-from.counts.all)
	got.Start = to.counts.first.Sub(r.began).Seconds()
	return got, nil
}

// page measures a program that serves a page of metrics. In each round the page is read once.
func (b *bench) page(p program, w workload) (got result, err error) {
	r, err := b.prepare(p, w, b.records)
	if err != nil {
		return got, err
	}
	if err := r.start(); err != nil {
		return got, err
	}
	defer r.stop(syscall.SIGTERM)
	ctx, cancel := b.limit(4)
	defer cancel()
	url := "http://127.0.0.1:" + r.place.Port + p.page
	round := len(fields) * b.records
	for {
		if samples, _, err := readPage(ctx, url); err == nil && samples >= round {
			break
		}
		if err := b.sleep(50 * time.Millisecond); err != nil || ctx.Err() != nil || !r.processes[0].isRunning() {
			return got, errors.Join(err, r.fail("the page does not have all samples"))
		}
	}
	got.Start = time.Since(r.began).Seconds()
	from, err := r.snapshot()
	if err != nil {
		return got, err
	}
	samples, size := 0, 0
	for range b.rounds {
		if err := b.sleep(b.interval); err != nil {
			return got, err
		}
		n, bytes, err := readPage(ctx, url)
		if err != nil {
			return got, err
		}
		samples, size = samples+n, size+bytes
	}
	to, err := r.snapshot()
	if err != nil {
		return got, err
	}
	r.fill(&got, from, to, int64(samples))
	got.Bytes = float64(size) / float64(samples)
	return got, nil
}

// readPage reads a page and returns the number of the workload's samples in it, and the page's size in bytes.
func readPage(ctx context.Context, url string) (samples, size int, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, 0, err
	}
	response, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return 0, 0, errors.Join(err, errors.New(response.Status))
	}
	for line := range bytes.Lines(body) {
		if bytes.HasPrefix(line, []byte(metricPrefix)) {
			samples++
		}
	}
	return samples, len(body), nil
}

// once measures a program that ends after it has read and delivered one record.
func (b *bench) once(p program, w workload) (got result, err error) {
	r, err := b.prepare(p, w, 1)
	if err != nil {
		return got, err
	}
	b.receiver.reset(false)
	var memory atomic.Int64 // read while the request waits for its answer, since the result of wait4 would include memory of this process
	started := make(chan struct{})
	b.receiver.arrived = func() {
		<-started
		memory.Store(largestMemory(r.processes))
	}
	defer func() { b.receiver.arrived = nil }()
	err = r.start()
	close(started)
	if err != nil {
		return got, err
	}
	select {
	case <-r.processes[0].done:
	case <-time.After(time.Minute):
		r.stop(syscall.SIGKILL)
	}
	got.Wall = time.Since(r.began).Seconds()
	state := r.processes[0].cmd.ProcessState
	c := b.receiver.snapshot()
	if got.Samples = c.samples; !state.Success() || c.samples != int64(len(fields)) {
		return got, r.fail(fmt.Sprintf("%s, %d samples arrived", state, c.samples))
	}
	got.RunCPU = (state.UserTime() + state.SystemTime()).Seconds()
	got.Memory = float64(memory.Load()) / (1 << 20)
	got.Bytes = float64(c.bytes) / float64(c.all)
	got.Binary = float64(size(r.argv[:1])) / (1 << 20)
	return got, nil
}

func (b *bench) sleep(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
}
