package main

import (
	"fmt"
	"syscall"
	"time"
)

// outage counts the samples that are lost when the receiver is unreachable for a time.
func (b *bench) outage(p program, w workload) (result, error) { return b.loss(p, w, false) }

// kill counts the samples that are lost when the receiver is unreachable for a time, and the program is killed and restarted during this
// time.
func (b *bench) kill(p program, w workload) (result, error) { return b.loss(p, w, true) }

// loss compares the samples that the exporter has served with the samples that have arrived at the receiver.
func (b *bench) loss(p program, w workload, kill bool) (got result, err error) {
	r, err := b.prepare(p, w, b.records)
	if err != nil {
		return got, err
	}
	b.receiver.reset(true)
	b.generator.served.Store(0)
	b.generator.stopped.Store(false)
	if err := r.start(); err != nil {
		return got, err
	}
	defer func() { r.stop(syscall.SIGKILL) }()
	ctx, cancel := b.limit(6)
	defer cancel()
	round := int64(len(fields) * b.records)
	if !b.receiver.wait(ctx, func(c counts) bool { return c.samples >= 3*round }) {
		return got, r.fail("no three rounds of samples arrived")
	}
	if err := b.interrupt(r, kill); err != nil {
		return got, err
	}
	if err := b.sleep(5 * b.interval); err != nil {
		return got, err
	}
	b.generator.stopped.Store(true)
	defer b.generator.stopped.Store(false)
	if err := b.drained(); err != nil {
		return got, err
	}
	c, served := b.receiver.snapshot(), b.generator.served.Load()
	got.Samples, got.Lost, got.Twice = served, served-c.distinct, c.samples-c.distinct
	got.Memory = float64(largestMemory(r.processes)) / (1 << 20)
	got.Binary = float64(size(r.argv[:1])) / (1 << 20)
	if !r.processes[0].isRunning() {
		return got, r.fail("the program has ended")
	}
	return got, nil
}

// interrupt closes the receiver for a time. If "kill" is true, it also kills and restarts the program in the middle of that time.
func (b *bench) interrupt(r *runner, kill bool) (err error) {
	b.receiver.close()
	defer func() {
		if e := b.receiver.open(); e != nil && err == nil {
			err = fmt.Errorf("open the receiver again: %w", e)
		}
	}()
	if !kill {
		return b.sleep(b.away)
	}
	if err := b.sleep(b.away / 2); err != nil {
		return err
	}
	r.stop(syscall.SIGKILL)
	if err := b.sleep(2 * time.Second); err != nil {
		return err
	}
	if err := r.start(); err != nil {
		return err
	}
	return b.sleep(b.away/2 - 2*time.Second)
}

// drained waits until there were 20 seconds in which no sample arrived, but not longer than 5 minutes.
func (b *bench) drained() error {
	const quiet, most = 20 * time.Second, 5 * time.Minute
	began := time.Now()
	for last, since := int64(-1), began; time.Since(since) < quiet && time.Since(began) < most; {
		if n := b.receiver.snapshot().samples; n != last {
			last, since = n, time.Now()
		}
		if err := b.sleep(time.Second); err != nil {
			return err
		}
	}
	return nil
}
